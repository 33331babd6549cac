"""Code of a logged model, which MLflow copies into it and runs when the model is loaded."""

from mlflow.models import set_model

from mer_mlflow.deployment.serving import EmotionModel

set_model(EmotionModel())
