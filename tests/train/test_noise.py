import numpy as np
import pytest

from train.noise import SensorNoise, sensor_noise, strength, unit_noise

SIZE = (160, 200)


def flat(value):
    return np.full((*SIZE, 3), value, np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


def neighbour_correlation(field):
    return float(np.mean(field[:, 1:] * field[:, :-1]) / np.mean(field**2))


def test_no_noise_changes_nothing():
    x = flat(0.3)

    assert sensor_noise(x, SensorNoise(), rng()) is x


def test_same_seed_gives_the_same_noise_and_another_seed_another():
    noise = SensorNoise(read=0.02, colour=0.5, grain_px=0.5, common=0.3)

    first, again, other = (sensor_noise(flat(0.5), noise, rng(seed)) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_input_is_left_as_it_was():
    x = flat(0.5)

    sensor_noise(x, SensorNoise(read=0.1), rng())

    assert (x == 0.5).all()


@pytest.mark.parametrize("signal", [0.0, 0.25, 1.0])
def test_variance_is_read_noise_squared_plus_shot_noise_times_the_signal(signal):
    noisy = sensor_noise(flat(signal), SensorNoise(read=0.01, shot=4e-4), rng())

    assert noisy.mean() == pytest.approx(signal, abs=5e-4)
    assert noisy.var() == pytest.approx(1e-4 + 4e-4 * signal, rel=0.03)


def test_strength_of_a_hand_worked_pixel():
    x = np.array([[[0.0, 0.5, 1.0]]], np.float32)

    sigma = strength(x, SensorNoise(read=0.03, shot=0.0032, shadow_gain=2))

    expected = [0.03 * 2, np.sqrt(0.0009 + 0.0016), np.sqrt(0.0009 + 0.0032) / 2]
    np.testing.assert_allclose(sigma[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "noise",
    [
        SensorNoise(),
        SensorNoise(grain_px=0.6),
        SensorNoise(colour=0.5),
        SensorNoise(colour=1.0),
        SensorNoise(blue_gain=1.7),
        SensorNoise(grain_px=0.5, colour=0.4, blue_gain=1.5),
    ],
    ids=["white", "grain", "colour", "only colour", "blue", "all"],
)
def test_mean_square_is_one_whatever_the_kind(noise):
    field = unit_noise(SIZE, noise, rng())

    assert np.mean(field**2) == pytest.approx(1, rel=0.04)


def test_grain_makes_neighbours_alike_and_white_noise_does_not():
    white = unit_noise(SIZE, SensorNoise(), rng())
    grain = unit_noise(SIZE, SensorNoise(grain_px=0.7), rng())

    assert abs(neighbour_correlation(white)) < 0.02
    assert 0.4 < neighbour_correlation(grain) < 0.7


def test_colour_noise_is_the_colour_that_grey_noise_lacks():
    grey = unit_noise(SIZE, SensorNoise(colour=1e-9), rng())
    colour = unit_noise(SIZE, SensorNoise(colour=1), rng())

    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=1e-3)
    np.testing.assert_allclose(colour.mean(axis=2), 0, atol=1e-5)
    assert neighbour_correlation(colour) > 0.5


def test_blue_is_noisiest_then_red_then_green():
    field = unit_noise(SIZE, SensorNoise(blue_gain=1.7), rng())

    blue, green, red = field.std(axis=(0, 1))
    assert blue / green == pytest.approx(1.7, rel=0.03)
    assert red / green == pytest.approx(np.sqrt(1.7), rel=0.03)


@pytest.mark.parametrize("common", [0.0, 0.25, 0.7])
def test_frames_share_the_part_in_common(common):
    noise, draw = SensorNoise(read=0.05, common=common, common_seed=5), rng()

    first, second = (sensor_noise(flat(0.5), noise, draw) - 0.5 for _ in range(2))

    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(common, abs=0.01)
    assert first.std() == pytest.approx(0.05, rel=0.03)


def test_odd_sides_and_one_pixel_work():
    for shape in ((1, 1, 3), (7, 5, 3)):
        noisy = sensor_noise(np.zeros(shape, np.float32), SensorNoise(read=0.1, colour=0.5, grain_px=0.5), rng())

        assert noisy.shape == shape
        assert noisy.dtype == np.float32
