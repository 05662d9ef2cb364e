import numpy as np
import pytest

from train.benefit.bootstrap import BLOCK, mean_interval, median_difference


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


@pytest.mark.parametrize("faces", [9, 19])
def test_the_interval_of_few_faces_holds_the_true_mean_as_often_as_it_says(faces):
    rng = np.random.default_rng(6)

    held = [low <= 0 <= high for _, low, high in (mean_interval(rng.normal(0, 1, faces), n) for n in range(1000))]

    assert 0.92 < np.mean(held) < 0.97


def test_missing_faces_are_left_out():
    assert mean_interval(np.array([1.0, np.nan, 3.0]))[0] == 2
    assert np.isnan(mean_interval(np.array([np.nan]))).all()


def test_one_face_has_no_interval():
    mean, *interval = mean_interval(np.array([1.5]))

    assert mean == 1.5
    assert np.isnan(interval).all()


def test_same_seed_gives_the_same_interval():
    values = np.arange(20.0)

    assert mean_interval(values, seed=5) == mean_interval(values, seed=5)
    assert mean_interval(values, seed=5) != mean_interval(values, seed=6)


def test_difference_of_medians_is_paired():
    theirs = np.random.default_rng(7).exponential(5, 150)

    difference, low, high = median_difference(theirs - 0.5, theirs)

    assert difference == pytest.approx(-0.5)
    assert low == pytest.approx(-0.5)
    assert high == pytest.approx(-0.5)


def test_the_interval_of_moments_that_depend_on_each_other_is_wider():
    rng = np.random.default_rng(8)
    runs = np.repeat(rng.normal(0, 1, 15), BLOCK)
    alone = rng.permutation(runs)

    widths = [np.ptp(median_difference(values, np.zeros(150))[1:]) for values in (runs, alone)]

    assert widths[0] > 1.8 * widths[1]


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says():
    rng = np.random.default_rng(9)

    def walk():
        noise = rng.normal(0, 1, 154)
        return sum(noise[i : i + 150] for i in range(5)) / 5

    held = [low <= 0 <= high for _, low, high in (median_difference(walk(), walk()) for _ in range(100))]

    assert np.mean(held) > 0.85


def test_moments_without_an_answer_are_left_out_of_both():
    assert median_difference(np.array([1.0, np.nan, 3.0]), np.array([0.0, 100.0, np.nan]))[0] == 1
    assert np.isnan(median_difference(np.array([np.nan]), np.array([1.0]))).all()
