"""Chapter 03 sorts its models into the scoreboard's columns."""

from pm_utils.chapters import customer_profile


def test_models_are_sorted_into_columns_without_the_null():
    models = ["last eight weeks", "logistic + SVD", "BasketRNN", "null"]
    columns = ["naive", "classical", "deep"]
    assert customer_profile.kinds(models) == dict(zip(models, columns, strict=False))
