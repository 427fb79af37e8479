"""The order of batches: the same for the same seed and epoch, wherever a run begins; and every kind of source."""

import itertools
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pcx.data as pxd

ORDER_0_0 = [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
ORDER_LAST_3 = [3, 2, 8, 0, 1, 6, 9, 5, 4, 7]


def arrays(n=10):
    return np.arange(n * 2, dtype=np.float32).reshape(n, 2), np.arange(n)


def labels(batches):
    return [np.asarray(y).tolist() for _, y in batches]


def test_the_order_is_fixed_for_ever():
    # A change here changes every run that anybody repeats.
    assert pxd.shuffled(10, 0, 0).tolist() == ORDER_0_0
    assert pxd.shuffled(10, 2**64 - 1, 3).tolist() == ORDER_LAST_3
    code = "import pcx.data as d; print(d.shuffled(10, 0, 0).tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == str(ORDER_0_0)


@given(n=st.integers(0, 300), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40))
def test_an_order_is_a_permutation(n, seed, epoch):
    order = pxd.shuffled(n, seed, epoch)
    assert order.dtype == np.int32
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, pxd.shuffled(n, seed, epoch))


def test_orders_are_uniform_and_differ():
    orders = np.array([pxd.shuffled(5, seed, epoch) for seed in range(60) for epoch in range(60)])
    counts = np.array([np.bincount(column, minlength=5) for column in orders.T])
    # Of 3600 each place sees each sample 720 times, give or take 24.
    assert np.abs(counts - 720).max() < 120
    assert len({tuple(order) for order in orders.tolist()}) == 120
    long = [tuple(pxd.shuffled(100, seed, epoch).tolist()) for seed in range(10) for epoch in range(10)]
    assert len(set(long)) == 100


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**64, 0), (0, -1)])
def test_seeds_out_of_bounds(seed, epoch):
    with pytest.raises(ValueError, match="below 2"):
        pxd.shuffled(3, seed, epoch)


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    drop=st.booleans(),
    shuffle=st.booleans(),
    k=st.integers(0, 5),
    data=st.data(),
)
def test_array_batches(n, size, drop, shuffle, k, data):
    if drop and size > n:
        with pytest.raises(ValueError, match=f"a batch of {size} can't be made of {n} samples"):
            pxd.ArrayBatches(arrays(n), size)
        return
    source = pxd.ArrayBatches(arrays(n), size, seed=3, shuffle=shuffle, drop_last=drop)
    assert isinstance(source, pxd.Batches)
    batches = list(source.epoch(k))
    assert len(batches) == source.batches_per_epoch == (n // size if drop else -(-n // size))
    for x, y in batches:
        np.testing.assert_array_equal(x, arrays(n)[0][y])
    seen = list(itertools.chain(*labels(batches)))
    # The order that a loop on the device gathers by is that of the batches.
    assert seen == source.order(k).reshape(-1).tolist() + source.remainder(k).tolist()
    assert source.order(k).shape == (n // size, size)
    assert len(seen) == len(set(seen)) == (n - n % size if drop else n)
    assert shuffle or seen == list(range(len(seen)))
    # Begun anywhere, also by another object and after other epochs.
    start = data.draw(st.integers(0, len(batches)))
    again = pxd.ArrayBatches(arrays(n), size, seed=3, shuffle=shuffle, drop_last=drop)
    assert labels(again.epoch(k, start)) == labels(batches)[start:]


def test_epochs_have_different_orders_and_seeds_too():
    source = pxd.ArrayBatches(arrays(50), 10)
    assert labels(source.epoch(0)) != labels(source.epoch(1))
    assert labels(source.epoch(0)) != labels(pxd.ArrayBatches(arrays(50), 10, seed=1).epoch(0))
    assert [len(y) for y in labels(pxd.ArrayBatches(arrays(3), 5, drop_last=False).epoch(0))] == [3]


def test_trees_and_device_arrays():
    source = pxd.ArrayBatches({"image": jnp.arange(6.0), "more": [np.arange(6)]}, 4)
    (batch,) = source.epoch(2)
    assert set(batch) == {"image", "more"}
    np.testing.assert_array_equal(batch["image"], batch["more"][0])
    np.testing.assert_array_equal(batch["more"][0], source.order(2)[0])
    (only,) = pxd.ArrayBatches(np.arange(4), 4, shuffle=False).epoch(0)
    assert only.tolist() == [0, 1, 2, 3]


def test_array_batches_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"arrays\[0\] has 3, arrays\[1\] has 2"):
        pxd.ArrayBatches((np.zeros(3), np.zeros(2)), 1)
    with pytest.raises(ValueError, match="there are none"):
        pxd.ArrayBatches((), 1)
    with pytest.raises(ValueError, match=r"arrays\['n'\] has no axis of samples"):
        pxd.ArrayBatches({"n": 3}, 1)
    with pytest.raises(ValueError, match="a batch of 0"):
        pxd.ArrayBatches(arrays(), 0)
    with pytest.raises(ValueError, match="drop_last=False would"):
        pxd.ArrayBatches(arrays(), 11)
    with pytest.raises(ValueError, match="the seed is"):
        pxd.ArrayBatches(arrays(), 2, seed=-1)
    with pytest.raises(TypeError):
        pxd.ArrayBatches(arrays(), 2.5)  # pyright: ignore[reportArgumentType]
    source = pxd.ArrayBatches(arrays(), 3)
    for k, start in ((-1, 0), (0, -1), (0, 4)):
        with pytest.raises(ValueError, match="epoch"):
            source.epoch(k, start)  # at the call, not at the first batch


# Going through epochs.


def test_a_run_taken_up_anywhere_sees_the_same_batches():
    source = pxd.ArrayBatches(arrays(), 3)
    whole = list(pxd.stream(source, epochs=3))
    assert len(whole) == 9
    assert [at for _, at in whole[:4]] == [pxd.Position(0, 1), pxd.Position(0, 2), pxd.Position(1), pxd.Position(1, 1)]
    for done in range(10):
        at = whole[done - 1][1] if done else pxd.Position()
        rest = list(pxd.stream(source, at, epochs=3))
        assert labels(batch for batch, _ in rest) == labels(batch for batch, _ in whole[done:])
        assert [at for _, at in rest] == [at for _, at in whole[done:]]


def test_streams_without_end_and_of_unknown_length():
    source = pxd.as_batches(lambda k: iter([10 * k, 10 * k + 1]))
    assert source.batches_per_epoch is None
    drawn = list(itertools.islice(pxd.stream(source), 5))
    assert [batch for batch, _ in drawn] == [0, 1, 10, 11, 20]
    # Whether an epoch is over isn't known after its last batch, and taking up there is right all the same.
    assert drawn[1][1] == pxd.Position(0, 2)
    assert [batch for batch, _ in pxd.stream(source, drawn[1][1], epochs=2)] == [10, 11]
    with pytest.raises(ValueError, match="epoch 0 has no batches"):
        next(pxd.stream(pxd.as_batches([])))
    with pytest.raises(ValueError, match="counted from 0"):
        pxd.Position(0, -1)
    assert pxd.Position(1, 2) < pxd.Position(2, 0)


# Other sources.


def test_batches_are_given_back():
    source = pxd.ArrayBatches(arrays(), 3)
    assert pxd.as_batches(source) is source
    assert pxd.as_batches(source, 3) is source
    with pytest.raises(ValueError, match="has 3 batches an epoch, not 4"):
        pxd.as_batches(source, 4)


def test_iterables():
    source = pxd.as_batches(["a", "b", "c"])
    assert source.batches_per_epoch == 3
    assert list(source.epoch(0)) == list(source.epoch(7)) == ["a", "b", "c"]
    assert list(source.epoch(1, 2)) == ["c"]
    assert list(source.epoch(1, 3)) == []
    with pytest.raises(ValueError, match="epoch 1 can't begin at batch 4 of 3"):
        source.epoch(1, 4)


def test_functions_of_the_epoch():
    source = pxd.as_batches(lambda k: [k, k + 1, k + 2], batches_per_epoch=2)
    assert source.batches_per_epoch == 2
    assert list(source.epoch(5)) == [5, 6]
    assert list(source.epoch(5, 1)) == [6]
    assert list(source.epoch(5, 2)) == []
    short = pxd.as_batches(lambda k: [k], batches_per_epoch=2)
    with pytest.raises(ValueError, match="epoch 0 ended after 1 batches; 2 were expected"):
        list(short.epoch(0))
    with pytest.raises(ValueError, match="epoch 0 ended after 1 batches; 3 were expected"):
        list(pxd.as_batches(lambda k: [k]).epoch(0, 3))


def test_pieces_of_one_walk():
    source = pxd.as_batches(["a", "b", "c"], batches_per_epoch=2)
    assert [list(source.epoch(k)) for k in range(3)] == [["a", "b"], ["c", "a"], ["b", "c"]]
    assert list(source.epoch(1)) == ["c", "a"]  # back
    assert list(source.epoch(4, 1)) == ["a"]
    one, two = source.epoch(0), source.epoch(1)
    assert [next(one), next(two), next(one), next(two)] == ["a", "c", "b", "a"]
    endless = pxd.as_batches(type("Endless", (), {"__iter__": lambda self: itertools.count()})(), 3)
    assert list(endless.epoch(100)) == [300, 301, 302]
    with pytest.raises(ValueError, match="the source ended after 0 batches"):
        list(pxd.as_batches([], 2).epoch(0))


def test_iterators_go_forward_only():
    source = pxd.as_batches(iter(range(5)), batches_per_epoch=2)
    assert list(source.epoch(0)) == [0, 1]
    assert list(source.epoch(1)) == [2, 3]
    with pytest.raises(ValueError, match="has come to batch 4 and can't go back to batch 0"):
        next(source.epoch(0))
    with pytest.raises(ValueError, match="ended after 5 batches"):
        list(source.epoch(2))


def test_what_is_no_source():
    for wrong in (arrays(), arrays()[0], {"x": arrays()[0]}):
        with pytest.raises(TypeError, match="make ArrayBatches"):
            pxd.as_batches(wrong)
    with pytest.raises(TypeError, match="not an object of type int"):
        pxd.as_batches(3)
    with pytest.raises(ValueError, match="is used up after one epoch"):
        pxd.as_batches(iter([1]))
    with pytest.raises(ValueError, match="batches_per_epoch is at least 1"):
        pxd.as_batches([1], 0)
