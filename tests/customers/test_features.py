"""Features as of a date: worked by hand, blind to the future, fast, scaled on training dates."""

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_utils.customers.features import (
    DEPARTMENTS,
    FEATURES,
    SHARES,
    DatedPipeline,
    customer_features,
    feature_pipeline,
    features_on,
    next_spend,
    orders_of,
    spend_between,
)
from pm_utils.data import Shop, load_shop
from pm_utils.page import artifacts

AS_OF = pd.Timestamp("2017-06-01")
MARKETING = ("campaigns", "contacts", "responses")
DEMOGRAPHICS = ("income", "home_ownership", "marital_status", "household_size", "kids")


def lines_of(rows: list[tuple]) -> pd.DataFrame:
    """Rows of (order, customer, product, amount, retail discount, coupon discount, time)."""
    columns = ["order_id", "customer_id", "product_id", "amount"]
    columns += ["retail_discount", "coupon_discount", "ordered_at"]
    dtypes = dict.fromkeys(columns[:3], "int64") | dict.fromkeys(columns[3:6], "float64")
    frame = pd.DataFrame(rows, columns=columns).astype(dtypes | {"ordered_at": "datetime64[ns]"})
    return frame.assign(store_id=1, quantity=1, coupon_match_discount=0.5 * frame.coupon_discount)


def small_shop(lines: pd.DataFrame) -> Shop:
    """Four customers (3 told their age, 4 never ordered in the test), three products."""
    day = pd.to_datetime
    customers = pd.DataFrame(
        {"customer_id": [1, 2, 3, 4], "age_group": ["25-34", None, "45-54", None]}
        | dict.fromkeys((*DEMOGRAPHICS, "household_composition"), "told")
    )
    products = pd.DataFrame(
        {
            "product_id": [10, 11, 12],
            "manufacturer_id": 1,
            "department": ["GROCERY", "FUEL", "TOYS"],
            "brand": ["Private", "National", "National"],
            **dict.fromkeys(("category", "product_type", "package_size"), "x"),
        }
    )
    campaigns = pd.DataFrame(
        {
            "campaign_id": [1, 2, 3],
            "campaign_type": "Type A",
            "starts_on": day(["2017-03-01", "2017-05-31", "2017-06-01"]),
            "ends_on": day(["2017-04-30", "2017-07-31", "2017-08-31"]),
        }
    )
    contacts = pd.DataFrame({"campaign_id": [1, 1, 2, 3, 3], "customer_id": [1, 2, 1, 1, 2]})
    offers = pd.DataFrame(
        {"campaign_id": [1, 1, 2, 3], "coupon_id": [7, 8, 7, 9], "product_id": 10}
    )
    responses = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2],
            "coupon_id": [7, 8, 7, 9],
            "campaign_id": [1, 1, 2, 3],
            "responded_at": day(["2017-03-05", "2017-03-06", "2017-06-01", "2017-06-05"]),
        }
    )
    return Shop(customers, products, lines, campaigns, contacts, offers, responses)


HAND = lines_of(
    [
        (100, 1, 10, 6, 2, 0, "2017-01-07 10:00"),  # a Saturday, 145 days less 10 hours before
        (100, 1, 11, 30, 0, 0, "2017-01-07 10:00"),
        (101, 1, 12, 4, 0, 1, "2017-03-01 12:00"),
        (103, 2, 99, 5, 0, 0, "2017-05-25 00:00"),
        (102, 1, 10, 20, 0, 0, "2017-05-30 00:00"),
        (104, 3, 10, 9, 0, 0, "2017-06-01 00:00"),  # too late
        (105, 1, 10, 99, 9, 9, "2017-07-01 00:00"),  # too late
    ]
)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return load_shop()


@pytest.fixture(scope="module")
def hand() -> pd.DataFrame:
    return customer_features(small_shop(HAND), AS_OF)


def test_the_hand_made_shop_is_a_shop():
    shop = small_shop(HAND)
    frames = {field.name: getattr(shop, field.name) for field in dataclasses.fields(shop)[:7]}
    assert len(Shop.from_frames(frames, unlisted_products=[99]).order_lines) == len(HAND)


def test_only_customers_with_an_earlier_order_have_a_row(hand):
    assert list(hand.index) == [1, 2] and hand.index.name == "customer_id"


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("age_group", "25-34"),
        ("total_purchase", 60.0),
        ("orders", 3),
        ("average_order_value", 20.0),
        ("recency_days", 2.0),
        ("tenure_days", 145 - 10 / 24),
        ("spend_per_week", 60 / ((145 - 10 / 24) / 7)),
        ("orders_per_week", 3 / ((145 - 10 / 24) / 7)),
        ("active_weeks", 3),
        ("recent_spend", 20.0),  # since 6 April
        ("earlier_spend", 4.0),  # 9 February to 6 April
        ("recent_orders", 1),
        ("trend", 16 / 24),
        ("lines_per_order", 4 / 3),
        ("weekend_share", 1 / 3),
        ("discount_share", 2 / 62),
        ("coupon_dollars", 1.5),
        ("coupon_order_share", 1 / 3),
        ("private_label_share", 26 / 60),
        ("share_grocery", 26 / 60),
        ("share_fuel", 0.5),
        ("share_other", 4 / 60),
        ("contacts", 2),
        ("campaigns_answered", 1),
        ("redemptions", 2),
    ],
)
def test_each_feature_is_what_a_hand_works_out(hand, feature, value):
    expected = value if isinstance(value, str) else pytest.approx(value, rel=1e-12)
    assert hand.loc[1, feature] == expected


def test_an_unknown_age_and_an_unlisted_product_have_their_own_names(hand):
    assert hand.loc[2, "age_group"] == "unknown"
    assert hand.loc[2, "share_other"] == 1.0
    assert hand.loc[2, ["contacts", "redemptions"]].tolist() == [1, 0]


def test_the_columns_are_those_of_the_table(hand):
    assert list(hand) == list(FEATURES.index)
    assert set(FEATURES["unit"]) == {"category", "dollars", "days", "count", "ratio"}
    assert FEATURES["meaning"].str.len().min() > 5
    assert len(SHARES) == len(DEPARTMENTS) + 1


def test_a_customer_who_paid_nothing_has_no_missing_feature():
    lines = lines_of([(1, 1, 10, 0, 0, 0, "2017-01-01 10:00")])
    row = customer_features(small_shop(lines), AS_OF).loc[1]
    assert row.drop("age_group").astype(float).notna().all()
    assert row["share_grocery"] == 0 and row["orders"] == 1


@pytest.mark.parametrize("as_of", ["2017-06-01 12:00", pd.Timestamp("2017-06-01 00:00:01")])
def test_a_time_of_day_is_refused(as_of):
    with pytest.raises(ValueError, match="give a day, without a time"):
        customer_features(small_shop(HAND), as_of)


@pytest.mark.parametrize("as_of", ["NaT", "2017-06-01 00:00-04:00", "2017-06-01 00:00Z"])
def test_no_date_and_a_date_of_another_clock_are_refused(as_of):
    """Midnight in New York is 4:00 in UTC: four hours of the day would leak."""
    with pytest.raises(ValueError, match="as_of is .* give (a day|the shop's own day)"):
        customer_features(small_shop(HAND), as_of)


@pytest.mark.parametrize("dates", [[], ["2017-06-01", "2017-05-01", "2017-06-01"]])
def test_no_dates_and_a_date_given_twice_are_refused(dates):
    with pytest.raises(ValueError, match="give some, each once"):
        features_on(small_shop(HAND), dates)


@pytest.mark.parametrize("end", ["2017-05-01", "2017-06-01", "NaT"])
def test_a_window_that_does_not_end_after_it_starts_is_refused(end):
    with pytest.raises(ValueError, match="let it end after it starts|end is NaT: give a day"):
        spend_between(small_shop(HAND), "2017-06-01", end)


@pytest.mark.parametrize("table", ["customers", "order_lines"])
def test_spend_needs_customers_and_orders(table):
    shop = dataclasses.replace(small_shop(HAND), **{table: None})
    with pytest.raises(ValueError, match=f"the shop has no {table}"):
        spend_between(shop, "2017-06-01", "2017-07-01")


def test_windows_that_follow_each_other_add_up(shop):
    days = ["2017-01-01", "2017-04-09", "2017-09-30", "2018-01-01"]
    parts = [spend_between(shop, *pair) for pair in zip(days, days[1:], strict=False)]
    np.testing.assert_allclose(sum(parts), spend_between(shop, days[0], days[-1]))
    assert sum(parts).sum() == pytest.approx(shop.order_lines["amount"].sum())


def test_the_recent_windows_are_those_of_spend_between(shop):
    """The target of one date is the recent spend of the date eight weeks later."""
    features = customer_features(shop, "2017-06-01")
    recent = spend_between(shop, "2017-04-06", "2017-06-01")[features.index]
    earlier = spend_between(shop, "2017-02-09", "2017-04-06")[features.index]
    np.testing.assert_allclose(features["recent_spend"], recent, atol=1e-9)
    np.testing.assert_allclose(features["earlier_spend"], earlier, atol=1e-9)


def test_cumulative_features_never_fall_and_ratios_keep_their_range(shop):
    """Whole weeks apart, as active weeks are counted back from the date."""
    early, late = (customer_features(shop, day) for day in ("2017-04-02", "2017-10-01"))
    late = late.loc[early.index]
    for name in FEATURES.index[FEATURES["cumulative"]]:
        assert (late[name] >= early[name] - 1e-9).all(), name
        assert (late[name] > early[name]).any(), name
    ratios = late[FEATURES.index[FEATURES["unit"] == "ratio"]]
    assert ratios.drop(columns="trend").stack().between(0, 1 + 1e-9).all()
    assert late["trend"].between(-1, 1).all() and late["trend"].min() < 0 < late["trend"].max()


def test_a_date_before_every_order_is_refused():
    with pytest.raises(ValueError, match="no order is dated before"):
        customer_features(small_shop(HAND), "2016-01-01")


def test_a_shop_without_a_table_is_refused():
    with pytest.raises(
        ValueError, match="no products, campaigns: give them to Shop.from_frames, or name"
    ):
        customer_features(
            dataclasses.replace(small_shop(HAND), products=None, campaigns=None), AS_OF
        )


moments = st.datetimes(pd.Timestamp("2017-01-01"), pd.Timestamp("2017-12-31"))
cents = st.integers(0, 20_000).map(lambda n: n / 100)
orders = st.lists(
    st.tuples(
        st.integers(1, 4),
        moments,
        st.lists(st.tuples(st.sampled_from([10, 11, 12, 99]), cents, cents, cents), min_size=1),
    ),
    max_size=12,
)


def as_lines(drawn: list, first_order: int, start: str, end: str) -> pd.DataFrame:
    """Turn drawn orders into lines dated from `start` to before `end`."""
    start, end = pd.Timestamp(start), pd.Timestamp(end)
    rows = []
    for number, (customer, when, basket) in enumerate(drawn, first_order):
        when = start + (when - pd.Timestamp("2017-01-01")) * ((end - start) / pd.Timedelta("365D"))
        for product, amount, discount, coupon in {line[0]: line for line in basket}.values():
            rows.append((number, customer, product, amount, discount, coupon, when))
    return lines_of(rows)


@settings(max_examples=60, deadline=None)
@given(past=orders.filter(len), future=orders, other=orders, order=st.randoms())
def test_no_feature_moves_with_what_happens_later(past, future, other, order):
    """Later orders are drawn twice, mixed among the earlier ones; later marketing is rewritten."""
    early = as_lines(past, 0, "2017-01-01", "2017-06-01")
    results = []
    for late in (future, other):
        lines = [early, as_lines(late, 1_000, "2017-06-01", "2018-01-01")]
        order.shuffle(lines)
        results.append(customer_features(small_shop(pd.concat(lines, ignore_index=True)), AS_OF))
    shop = small_shop(early)
    late_rows = {
        "campaigns": shop.campaigns["starts_on"] >= AS_OF,
        "contacts": shop.contacts["campaign_id"] == 3,
        "responses": shop.responses["responded_at"] >= AS_OF,
    }
    kept = {name: getattr(shop, name)[~rows] for name, rows in late_rows.items()}
    results.append(customer_features(dataclasses.replace(shop, **kept), AS_OF))
    for result in results[1:]:
        pd.testing.assert_frame_equal(result, results[0], check_exact=True)


def test_the_real_features_do_not_see_the_rest_of_the_year(shop):
    """Later lines are doubled, given to others and moved to other products, or are gone."""
    lines = shop.order_lines
    late = (lines["ordered_at"] >= AS_OF).to_numpy()
    rng = np.random.default_rng(0)
    changed = lines.copy()
    for column in ("customer_id", "product_id", "amount"):
        changed.loc[late, column] = rng.permutation(lines.loc[late, column].to_numpy())
    expected = customer_features(shop, AS_OF)
    responses = shop.responses[shop.responses["responded_at"] < AS_OF]
    for version in (lines[~late], pd.concat([changed, changed[late]])):
        shop_of = dataclasses.replace(shop, order_lines=version, responses=responses)
        pd.testing.assert_frame_equal(customer_features(shop_of, AS_OF), expected)


def test_an_earlier_change_does_move_the_features(shop):
    early = shop.order_lines["ordered_at"] < AS_OF
    lines = shop.order_lines.assign(amount=shop.order_lines["amount"] + early)
    changed = customer_features(dataclasses.replace(shop, order_lines=lines), AS_OF)
    assert (changed["total_purchase"] > customer_features(shop, AS_OF)["total_purchase"]).all()


def test_totals_and_shares_agree_with_pandas(shop):
    features = customer_features(shop, AS_OF)
    lines = shop.order_lines[shop.order_lines["ordered_at"] < AS_OF]
    total = lines.groupby("customer_id")["amount"].sum()
    np.testing.assert_allclose(features["total_purchase"], total.loc[features.index])
    department = lines.merge(shop.products[["product_id", "department"]])["department"]
    meat = lines.merge(shop.products[["product_id", "department"]])[department == "MEAT"]
    share = meat.groupby("customer_id")["amount"].sum() / total
    np.testing.assert_allclose(
        features["share_meat"], share.reindex(features.index).fillna(0), atol=1e-12
    )
    np.testing.assert_allclose(features[SHARES].sum(axis=1), 1, atol=1e-9)


def test_the_order_of_the_lines_does_not_matter(shop):
    shuffled = shop.order_lines.sample(frac=1, random_state=0)
    features = customer_features(dataclasses.replace(shop, order_lines=shuffled), AS_OF)
    pd.testing.assert_frame_equal(features, customer_features(shop, AS_OF))


def seconds(shop: Shop, repeats: int = 3) -> float:
    """Return the least processor time of a call; other tests share the machine."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        customer_features(shop, "2018-01-01")
        taken.append(time.process_time() - start)
    return min(taken)


def test_the_full_table_takes_a_second_at_most(shop):
    assert seconds(shop) <= 1


def test_ten_times_the_lines_take_ten_times_the_time_at_most(shop):
    tenth = shop.order_lines.iloc[::10].sort_values(["ordered_at", "order_id"], kind="stable")
    tenfold = pd.concat(
        [tenth.assign(order_id=tenth["order_id"] + k * 10**12) for k in range(10)],
        ignore_index=True,
    )
    few, many = (dataclasses.replace(shop, order_lines=lines) for lines in (tenth, tenfold))
    assert seconds(many) <= 10 * seconds(few, 5)


def test_spend_between_is_half_open_and_counts_everyone():
    spend = spend_between(small_shop(HAND), "2017-05-30", "2017-07-01")
    assert spend.to_dict() == {1: 20.0, 2: 0.0, 3: 9.0, 4: 0.0}


def test_next_spend_follows_each_date():
    shop = small_shop(HAND)
    rows = features_on(shop, ["2017-04-10", "2017-06-01"])
    spend = next_spend(shop, rows)
    assert spend.index.equals(rows.index)
    expected = {("2017-04-10", 1): 20.0, ("2017-06-01", 1): 99.0, ("2017-06-01", 2): 0.0}
    assert spend.to_dict() == {(pd.Timestamp(t), i): v for (t, i), v in expected.items()}
    assert next_spend(shop, rows, window="30D").tolist() == [0.0, 0.0, 0.0]


def test_orders_are_sums_of_their_lines():
    orders = orders_of(small_shop(HAND)).set_index("order_id")
    assert orders["amount"].to_dict() == {100: 36, 101: 4, 102: 20, 103: 5, 104: 9, 105: 99}
    assert orders.loc[103, "customer_id"] == 2
    assert orders.loc[100, "ordered_at"] == pd.Timestamp("2017-01-07 10:00")


def test_features_on_stacks_dates(shop):
    dates = ["2017-03-01", "2017-04-01"]
    stack = features_on(shop, dates)
    assert stack.index.names == ["as_of", "customer_id"]
    pd.testing.assert_frame_equal(
        stack.loc[pd.Timestamp("2017-04-01")], customer_features(shop, "2017-04-01")
    )


@pytest.fixture(scope="module")
def stack(shop) -> pd.DataFrame:
    return features_on(shop, ["2017-03-01", "2017-04-01", "2017-05-01"])


@pytest.fixture(scope="module")
def learned(stack) -> DatedPipeline:
    return DatedPipeline.learn(stack.loc[:"2017-04-01"])


def test_the_scaling_is_that_of_the_training_dates(stack, learned):
    train = learned.transform(stack.loc[:"2017-04-01"])
    numeric = train.drop(columns=[c for c in train if c.startswith("age_group")])
    np.testing.assert_allclose(numeric.mean(), 0, atol=1e-9)
    np.testing.assert_allclose(numeric.std(ddof=0), 1, atol=1e-9)
    by_hand = np.log1p(stack["total_purchase"])
    mean, deviation = by_hand.loc[:"2017-04-01"].agg(["mean", lambda x: x.std(ddof=0)])
    later = learned.transform(stack.loc["2017-05-01":])["total_purchase"]
    np.testing.assert_allclose(later, ((by_hand - mean) / deviation).loc["2017-05-01":])
    assert abs(later.mean()) > 0.05  # a scaling that had seen the later date would give 0


def test_later_rows_do_not_change_how_training_rows_are_scaled(stack, learned):
    again = DatedPipeline.learn(stack.loc[:"2017-04-01"])
    later = stack.loc["2017-05-01":].assign(total_purchase=1e9)
    both = pd.concat([stack.loc[:"2017-04-01"], later])
    pd.testing.assert_frame_equal(
        learned.transform(both).loc[:"2017-04-01"], again.transform(stack.loc[:"2017-04-01"])
    )


def test_a_date_whose_future_was_seen_is_refused(stack):
    pipeline = DatedPipeline.learn(stack.loc[["2017-03-01", "2017-05-01"]])
    with pytest.raises(ValueError, match="learned until 2017-05-01, after 2017-04-01"):
        pipeline.transform(stack)


def test_a_saved_pipeline_keeps_its_dates_and_its_figures(stack, learned, tmp_path, monkeypatch):
    monkeypatch.setenv("PM_OUTPUT", str(tmp_path))
    monkeypatch.setenv("PM_INPUTS", "")
    path = artifacts.save("scaling.skops", learned.as_artifact())
    assert path == tmp_path / "scaling.skops"
    again = DatedPipeline.from_artifact(artifacts.load("scaling.skops"))
    assert again.learned_on == (pd.Timestamp("2017-03-01"), pd.Timestamp("2017-04-01"))
    pd.testing.assert_frame_equal(again.transform(stack), learned.transform(stack))


def test_a_pipeline_of_some_columns_has_only_those(stack):
    pipeline = feature_pipeline(["recency_days", "trend", "age_group"]).fit(stack)
    names = list(pipeline.transform(stack))
    assert names[:2] == ["recency_days", "trend"]
    assert set(names[2:]) == {f"age_group_{level}" for level in stack["age_group"].cat.categories}


def test_a_category_never_seen_becomes_zeros(stack, learned):
    strange = stack.head(3).assign(age_group="120+")
    scaled = learned.transform(strange)
    assert (scaled[[c for c in scaled if c.startswith("age_group")]] == 0).all(axis=None)


def test_a_column_that_is_no_feature_is_refused():
    with pytest.raises(ValueError, match=r"\['age'\] are no features"):
        feature_pipeline(["age", "trend"])


def test_the_marketing_tables_are_needed_too():
    for table in MARKETING:
        with pytest.raises(ValueError, match=f"the shop has no {table}"):
            customer_features(dataclasses.replace(small_shop(HAND), **{table: None}), AS_OF)


# --- Zones, unknown ids, and what is no number ----------------------------------------------------


def test_times_with_a_zone_count_in_it():
    day = "2017-03-01"
    plain = small_shop(HAND)
    times = plain.order_lines["ordered_at"].dt.tz_localize("America/New_York")
    local = dataclasses.replace(plain, order_lines=plain.order_lines.assign(ordered_at=times))
    pd.testing.assert_frame_equal(customer_features(local, day), customer_features(plain, day))
    window = "2017-02-01", pd.Timestamp(day, tz="America/New_York")
    pd.testing.assert_series_equal(
        spend_between(local, *window), spend_between(plain, "2017-02-01", day)
    )
    with pytest.raises(ValueError, match="end is of the zone UTC, the times of America/New_York"):
        spend_between(local, "2017-02-01", pd.Timestamp(day, tz="UTC"))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("amount", np.nan, "amount is not finite in 1 of"),
        ("retail_discount", np.inf, "retail_discount is not finite in 1 of"),
        ("customer_id", 999, "customer_id is not known in 1 of"),
        ("ordered_at", pd.NaT, "ordered_at is missing in 1 of"),
    ],
)
def test_lines_that_cannot_count_are_no_neighbours(column, value, said):
    lines = HAND.copy()
    lines.loc[lines.index[0], column] = value
    shop = small_shop(lines)
    for call in (
        lambda: customer_features(shop, "2018-01-01"),
        lambda: spend_between(shop, "2016-01-01", "2018-01-01"),
    ):
        with pytest.raises((ValueError, KeyError), match=said):
            call()
        if column == "retail_discount":
            return  # spend knows no discounts
    if column != "customer_id":
        with pytest.raises(ValueError, match=said):
            orders_of(shop)


def test_lines_without_a_customer_are_counted():
    lines = HAND.astype({"customer_id": object})
    lines.iloc[:2, lines.columns.get_loc("customer_id")] = None
    with pytest.raises(ValueError, match="customer_id is missing in 2 of"):
        orders_of(small_shop(lines))
    orders = orders_of(small_shop(lines), missing_customers="drop")
    assert orders.attrs["left_out"] == {"lines without a customer": 2}
    assert orders["customer_id"].notna().all()
    assert orders["amount"].sum() == pytest.approx(lines["amount"].iloc[2:].sum())
    with pytest.raises(ValueError, match="missing_customers is 'skip'"):
        orders_of(small_shop(lines), missing_customers="skip")
    with pytest.raises(ValueError, match="the shop has no order_lines"):
        orders_of(Shop())


@pytest.mark.parametrize(("wrong", "said"), [(np.nan, "not finite"), (-1.0, "out of range")])
def test_a_pipeline_scales_no_gaps(stack, learned, wrong, said):
    gaps = stack.copy()
    gaps.iloc[3, gaps.columns.get_loc("recent_spend")] = wrong
    for call in (DatedPipeline.learn, learned.transform):
        with pytest.raises(ValueError, match=f"features is {said} in 1 of .*column 'recent_spend'"):
            call(gaps)
    turned = learned.transform(stack[stack.columns[::-1]])
    pd.testing.assert_frame_equal(turned, learned.transform(stack))
    with pytest.raises(KeyError, match="features has no column 'orders'"):
        learned.transform(stack.drop(columns="orders"))


def test_returns_are_refused_as_features_and_netted_as_spend():
    lines = HAND.copy()
    lines.loc[lines.index[0], "amount"] = -2.0
    with pytest.raises(
        ValueError, match="amount is out of range in 1 of .*: give numbers of at le"
    ):
        customer_features(small_shop(lines), "2018-01-01")
    spend = [
        spend_between(small_shop(one), "2016-01-01", "2018-01-01").sum() for one in (HAND, lines)
    ]
    assert spend[1] - spend[0] == pytest.approx(-2 - HAND["amount"].iloc[0])


def test_a_customer_listed_twice_is_named():
    shop = small_shop(HAND)
    twice = dataclasses.replace(
        shop, customers=pd.concat([shop.customers, shop.customers.iloc[:1]])
    )
    for call in (
        lambda: customer_features(twice, AS_OF),
        lambda: spend_between(twice, "2017-01-01", AS_OF),
    ):
        with pytest.raises(ValueError, match="customers has the customer_id 1 in two rows"):
            call()
