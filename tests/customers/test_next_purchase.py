"""Samples are stacked without a look ahead, scaled by training rows alone, and learned from."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pm_utils.customers import next_purchase, purchase_log
from pm_utils.customers.purchase_log import PurchaseLog
from pm_utils.evaluation.ranking import ranking_scores


def make_log(seed: int = 0, customers: int = 60, categories: int = 6) -> PurchaseLog:
    """A small market: each customer has a taste and orders every week with some chance."""
    rng = np.random.default_rng(seed)
    taste = rng.beta(0.5, 1.0, size=(customers, categories))
    day = np.repeat(np.arange(0, 210, 7), customers)
    customer = np.tile(np.arange(customers), 30)
    held = rng.random((len(day), categories)) < taste[customer] / 3
    order, category = np.nonzero(held)
    return PurchaseLog(
        customers=100 + np.arange(customers),
        categories=tuple("abcdef"[:categories]),
        order=order,
        customer=customer[order],
        category=category,
        day=day[order],
        order_customer=customer,
        order_day=day,
        order_spend=rng.gamma(2.0, 10.0, size=len(day)),
    )


LOG = make_log()
DATES = pd.to_datetime(["2017-03-15", "2017-04-12"])
TRAIN = next_purchase.tag_samples(LOG, DATES, tags=4, days=28, weeks=10, baskets=8)
LATER = next_purchase.tag_samples(
    LOG, pd.to_datetime(["2017-05-10"]), tags=4, days=28, weeks=10, baskets=8
)
INPUTS = next_purchase.Inputs.learn(TRAIN)


def test_dates_end_on_the_last_and_keep_their_distance():
    dates = next_purchase.as_of_dates("2017-07-07", "2017-05-01", 28)
    assert list(dates) == list(pd.to_datetime(["2017-05-12", "2017-06-09", "2017-07-07"]))


def test_samples_stack_every_known_customer_on_every_date():
    assert len(TRAIN.target) == 2 * len(LOG.customers)
    assert (TRAIN.as_of == np.repeat(DATES.to_numpy().astype("datetime64[D]"), 60)).all()
    shapes = {
        "history": (120, 6, 5),
        "context": (120, 8),
        "grid": (120, 6, 10),
        "baskets": (120, 8, 6),
        "ages": (120, 8),
        "lengths": (120,),
        "target": (120, 4),
    }
    assert {name: getattr(TRAIN, name).shape for name in shapes} == shapes


def test_the_samples_of_a_date_are_those_stacked_for_it_alone():
    alone = next_purchase.tag_samples(LOG, DATES[1:], tags=4, days=28, weeks=10, baskets=8)
    for field in fields(alone):
        picked = getattr(TRAIN.on(DATES[1:]), field.name)
        assert np.array_equal(picked, getattr(alone, field.name)), field.name
    assert 0 < len(alone.target) < len(TRAIN.target)


def test_the_target_begins_where_the_past_ends():
    now = purchase_log.day_number(DATES[0])
    rows = (LOG.day >= now) & (LOG.day < now + 28) & (LOG.category == 2) & (LOG.customer == 7)
    assert TRAIN.target[7, 2] == float(rows.any())
    early = PurchaseLog(**{**vars(LOG), "category": np.where(LOG.day >= now, 0, LOG.category)})
    changed = next_purchase.tag_samples(early, DATES[:1], tags=4, days=28, weeks=10, baskets=8)
    for name in ("history", "context", "grid", "baskets", "ages", "lengths"):
        assert np.array_equal(getattr(changed, name), getattr(TRAIN, name)[:60]), name
    assert not np.array_equal(changed.target, TRAIN.target[:60])


def test_training_rows_become_standard_and_later_rows_use_the_same_numbers():
    features = INPUTS.features(TRAIN).numpy()
    raw = np.concatenate([TRAIN.history[:, :, next_purchase.RATE], TRAIN.context], axis=1)
    varied = raw.std(0) > 1e-3
    assert 0 < varied.sum() < 14  # everyone orders every week: some columns are constant
    assert features.mean(0) == pytest.approx(np.zeros(14), abs=1e-4)
    assert features.std(0) == pytest.approx(varied.astype(float), abs=1e-2)
    column = 6 + 3  # dollars in four weeks
    learned = TRAIN.context[:, 3].astype(float)
    by_hand = (LATER.context[:, 3] - learned.mean()) / learned.std()
    assert INPUTS.features(LATER)[:, column].numpy() == pytest.approx(by_hand, abs=1e-4)


def test_the_wide_part_puts_the_context_beside_each_tags_own_history():
    wide = INPUTS.wide(LATER)
    assert wide.shape == (60, 4, 13)
    assert torch.equal(wide[:, 0, 5:], wide[:, 3, 5:])
    own = (LATER.history[:, 3] - INPUTS.history_mean[3]) / INPUTS.history_std[3]
    assert wide[:, 3, :5].numpy() == pytest.approx(own, abs=1e-5)


def test_scaling_survives_as_tensors():
    kept = INPUTS.as_tensors()
    assert set(kept) == {"history_mean", "history_std", "context_mean", "context_std"}
    assert np.array_equal(kept["context_mean"].numpy(), INPUTS.context_mean)


def test_one_classifier_per_tag_equals_fitting_it_by_hand():
    own, later = INPUTS.wide(TRAIN).numpy(), INPUTS.wide(LATER).numpy()
    probability = next_purchase.per_tag_probabilities(
        LogisticRegression(), own, TRAIN.target, later
    )
    by_hand = LogisticRegression().fit(own[:, 2], TRAIN.target[:, 2])
    assert probability[:, 2] == pytest.approx(by_hand.predict_proba(later[:, 2])[:, 1])


def test_a_tag_with_one_outcome_is_named():
    target = TRAIN.target.copy()
    target[:, 1] = 1
    own = INPUTS.wide(TRAIN).numpy()
    with pytest.raises(ValueError, match="tag 1 has only one outcome"):
        next_purchase.per_tag_probabilities(LogisticRegression(), own, target, own)


def test_own_and_profile_repeats_the_profile_for_each_tag():
    own, profile = np.arange(12.0).reshape(2, 3, 2), np.array([[7.0], [8.0]])
    joined = next_purchase.own_and_profile(own, profile)
    assert joined.shape == (2, 3, 3)
    assert joined[1, 2].tolist() == [10.0, 11.0, 8.0]


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="Transformer is no encoder"):
        next_purchase.new_tagger("Transformer", INPUTS, 4, 13)


@pytest.mark.parametrize(
    ("name", "wide_head"),
    [
        *(("UserProfileNet", True), ("PurchaseCNN", True), ("BasketRNN", True)),
        *(("UserProfileNet", False), ("UserProfileNet on histories", False)),
    ],
)
def test_every_encoder_learns_what_its_null_cannot(name, wide_head):
    settings = {"epochs": 60, "seed": 1, "wide_head": wide_head}
    net, history = next_purchase.train_tagger(name, TRAIN, INPUTS, **settings)
    again, _ = next_purchase.train_tagger(name, TRAIN, INPUTS, **settings)
    null, _ = next_purchase.train_tagger(name, TRAIN, INPUTS, shuffle_labels=True, **settings)
    assert history.steps == 60 * -(-len(TRAIN.target) // 128)
    probability = next_purchase.tag_probabilities(net, name, LATER, INPUTS)
    assert np.array_equal(probability, next_purchase.tag_probabilities(again, name, LATER, INPUTS))
    scores = [
        ranking_scores(LATER.target, next_purchase.tag_probabilities(n, name, LATER, INPUTS))[
            "macro_auc"
        ]
        for n in (net, null)
    ]
    assert scores[0] > 0.7 > scores[1] + 0.05


def test_without_the_wide_head_a_network_reads_nothing_but_its_own_view():
    net = next_purchase.new_tagger("UserProfileNet", INPUTS, 4, 13, wide_head=False)
    guess = next_purchase.tag_probabilities(net, "UserProfileNet", LATER, INPUTS)
    expected = net(INPUTS.features(LATER)).sigmoid().detach().numpy()
    assert guess == pytest.approx(expected, abs=1e-6)
    profile = next_purchase.profiles(net, "UserProfileNet", LATER, INPUTS)
    assert profile.shape == (len(LATER.target), 32)


def test_histories_hold_all_that_is_known_of_each_category():
    flat = INPUTS.histories(LATER).numpy()
    assert flat.shape == (len(LATER.target), 6 * 5 + 8)
    own = INPUTS.wide(LATER).numpy()
    assert flat[:, 5:10] == pytest.approx(own[:, 1, :5])
    assert flat[:, -8:] == pytest.approx(own[:, 0, 5:])


def test_profiles_come_as_a_table_by_customer_and_date():
    net = next_purchase.new_tagger("UserProfileNet", INPUTS, 4, 13)
    frame = next_purchase.profile_frame(net, "UserProfileNet", TRAIN, INPUTS, LOG)
    assert frame.shape == (120, 32)
    assert frame.index.names == ["customer_id", "as_of"]
    assert frame.index[61] == (101, DATES[1])
    assert frame.abs().to_numpy().max() <= 1
    assert not frame.index.has_duplicates


# --- What is refused, and units -------------------------------------------------------------------

SAMPLES = next_purchase.tag_samples(make_log(), [pd.Timestamp("2017-03-01")], tags=2)


def test_samples_whose_rows_do_not_belong_together_are_refused():
    given = {f.name: getattr(SAMPLES, f.name) for f in fields(SAMPLES)}
    with pytest.raises(ValueError, match="rows: give as many of each"):
        next_purchase.TagSamples(**given | {"target": SAMPLES.target[:-1]})
    with pytest.raises(ValueError, match="there is no date: give at least one"):
        next_purchase.tag_samples(make_log(), [], tags=2)
    with pytest.raises(ValueError, match="tags is 7: give 1 to 6"):
        next_purchase.tag_samples(make_log(), [pd.Timestamp("2017-03-01")], tags=7)


def test_scales_have_no_unit_and_no_gaps():
    given = {f.name: getattr(SAMPLES, f.name) for f in fields(SAMPLES)}
    small = next_purchase.TagSamples(**given | {"context": 1e-6 * SAMPLES.context})
    wanted = next_purchase.Inputs.learn(SAMPLES).features(SAMPLES)
    found = next_purchase.Inputs.learn(small).features(small)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    gaps = SAMPLES.context.copy()
    gaps[3, 1] = np.nan
    with pytest.raises(ValueError, match="context is not finite in 1 of .*, first row 3, column 1"):
        next_purchase.Inputs.learn(next_purchase.TagSamples(**given | {"context": gaps}))
    with pytest.raises(ValueError, match="there is no sample"):
        next_purchase.Inputs.learn(SAMPLES.on([]))


def test_tags_are_0_or_1_and_numbers_finite():
    train, test = np.zeros((4, 1, 2)), np.zeros((1, 1, 2))
    model = LogisticRegression()
    for target, said in (([[0], [1], [2], [0]], "target holds"), ([[0], [1]], "train 4, target 2")):
        with pytest.raises(ValueError, match=said):
            next_purchase.per_tag_probabilities(model, train, np.array(target), test)
    with pytest.raises(ValueError, match="test is not finite in 1 of 1 rows"):
        next_purchase.per_tag_probabilities(
            model, train, np.array([[0], [1], [1], [0]]), test * np.nan
        )
    with pytest.raises(ValueError, match="own 4, profile 3 rows"):
        next_purchase.own_and_profile(train, np.zeros((3, 2)))


def test_samples_are_matched_by_their_index_and_kept_so():
    parts = {name: getattr(TRAIN, name)[:4] for name in TRAIN.__dataclass_fields__}
    rows = pd.Index(list("abcd"))
    customer = pd.Series(parts["customer"], rows)
    target = pd.DataFrame(parts["target"], rows)[::-1]
    found = next_purchase.TagSamples(**(parts | {"customer": customer, "target": target}))
    assert isinstance(found.target, np.ndarray)
    assert (found.target == parts["target"]).all()
    with pytest.raises(ValueError, match="target has no row 'd' of customer"):
        next_purchase.TagSamples(
            **(parts | {"customer": customer, "target": target.rename({"d": "e"})})
        )


def test_a_table_of_labels_and_a_frame_of_profiles_are_matched_as_arrays():
    own, profile = np.ones((2, 3, 1)), pd.DataFrame({"p": [1.0, 2.0]})
    assert next_purchase.own_and_profile(own, profile)[:, 0, 1].tolist() == [1, 2]


def test_a_sample_date_is_a_day():
    with pytest.raises(ValueError, match="give a day, without a time"):
        TRAIN.on([DATES[0] + pd.Timedelta(hours=12)])
    with pytest.raises(ValueError, match="days is out of range"):
        next_purchase.as_of_dates("2017-07-07", "2017-05-01", 0)
