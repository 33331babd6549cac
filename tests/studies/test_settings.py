"""Settings of a study's items: the same runs that their commands lead to."""

from __future__ import annotations

from mer_mlflow.studies.plan import SearchPlan
from mer_mlflow.studies.reading import parse_plan
from mer_mlflow.studies.settings import beginning, features_of, search_repeats


def test_a_search_begins_at_what_another_found_of_what_it_searches() -> None:
    asked = SearchPlan(
        method="cnn_gru", strategy="neighbour", space="learning_rate=0.01,0.1;filters=8,16"
    )
    assert beginning(asked, {"learning_rate": 0.1, "batch_size": 50}) == {"learning_rate": 0.1}
    assert beginning(asked, None) == {}


def test_a_studys_features_are_asked_of_methods_that_read_some() -> None:
    text = """
{features: extracted, repeats: 3, methods: [cnn, dnn_100, svm: {features: published}],
 searches: {svm: , dnn_100: {repeats: 1}}}"""
    plan = parse_plan(text, name="mine", file="mine")
    features = {method.name: features_of(plan, method) for method in plan.methods}
    assert features == {"cnn": None, "dnn_100": "extracted", "svm": "published"}
    assert [search_repeats(plan, search) for search in plan.searches] == [3, 1]
