import numpy as np

from train.benefit.bootstrap import mean_interval


def test_interval_holds_the_mean_and_narrows_with_more_faces():
    values = np.random.default_rng(3).normal(5, 2, 400)

    few = mean_interval(values[:25])
    many = mean_interval(values)

    assert few[1] < few[0] < few[2]
    assert many[2] - many[1] < 0.5 * (few[2] - few[1])


def test_interval_of_a_normal_sample_is_near_its_textbook_width():
    values = np.random.default_rng(4).normal(0, 1, 100)

    _, low, high = mean_interval(values)

    assert abs((high - low) - 2 * 1.96 * values.std() / 10) < 0.05


def test_missing_faces_are_left_out():
    assert mean_interval(np.array([1.0, np.nan, 3.0]))[0] == 2
    assert np.isnan(mean_interval(np.array([np.nan]))).all()


def test_same_seed_gives_the_same_interval():
    values = np.arange(20.0)

    assert mean_interval(values, seed=5) == mean_interval(values, seed=5)
    assert mean_interval(values, seed=5) != mean_interval(values, seed=6)
