"""Models: methodologies fitted to all clips of a dataset, which predict the emotion of songs."""

from mer_mlflow.deployment.explanation import Explanation
from mer_mlflow.deployment.prediction import EmotionPrediction
from mer_mlflow.deployment.trained import TrainedModel, load_trained

__all__ = ["EmotionPrediction", "Explanation", "TrainedModel", "load_trained"]
