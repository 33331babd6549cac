"""Models: methodologies fitted to all clips of a dataset, which predict the emotion of songs."""

from mer_mlflow.models.prediction import EmotionPrediction
from mer_mlflow.models.trained import TrainedModel, load_trained

__all__ = ["EmotionPrediction", "TrainedModel", "load_trained"]
