"""Grain's data sets and loaders as sources of batches."""

import itertools
from typing import Any

import numpy as np
import pytest

import pcx.data as pxd

grain: Any = pytest.importorskip("grain", reason="Grain is an extra: pip install grain")


def lists(batches):
    return [np.asarray(batch).tolist() for batch in batches]


def shuffled(n=10, seed=3):
    return grain.MapDataset.source(np.arange(n)).seed(seed).shuffle()


def test_map_dataset():
    data = shuffled().batch(3, drop_remainder=True)
    source = pxd.as_batches(data)
    assert source.batches_per_epoch == 3
    epochs = [lists(source.epoch(k)) for k in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert all(len(set(itertools.chain(*epoch))) == 9 for epoch in epochs)
    # As Grain itself goes through it, epoch after epoch.
    assert lists(itertools.islice(data.repeat(3), 9)) == [batch for epoch in epochs for batch in epoch]
    assert lists(source.epoch(2, 1)) == epochs[2][1:]
    whole = list(pxd.stream(source, epochs=2))
    rest = list(pxd.stream(pxd.as_batches(shuffled().batch(3, drop_remainder=True)), whole[3][1], epochs=2))
    assert lists(batch for batch, _ in rest) == lists(batch for batch, _ in whole[4:])


def test_map_dataset_without_end():
    endless = shuffled().repeat().batch(4)  # batches that reach from one epoch of samples into the next
    with pytest.raises(ValueError, match="say batches_per_epoch"):
        pxd.as_batches(endless)
    source = pxd.as_batches(endless, batches_per_epoch=5)
    assert lists(itertools.chain(source.epoch(0), source.epoch(1))) == lists(endless[i] for i in range(10))


def test_filtered_map_dataset():
    data = shuffled().filter(lambda x: x % 2 == 0)
    with pytest.raises(ValueError, match="was filtered out"):
        list(pxd.as_batches(data).epoch(0))
    source = pxd.as_batches(data.to_iter_dataset().batch(2))
    assert source.batches_per_epoch is None
    assert sorted(itertools.chain(*lists(source.epoch(0)))) == [0, 2, 4, 6, 8]
    assert lists(source.epoch(0)) == lists(source.epoch(1))


def test_iter_dataset_without_end():
    data = shuffled().repeat().to_iter_dataset().batch(5)
    source = pxd.as_batches(data, batches_per_epoch=2)
    first, second = lists(source.epoch(0)), lists(source.epoch(1))
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == list(range(10))
    assert first != second
    assert lists(pxd.as_batches(data, batches_per_epoch=2).epoch(1, 1)) == second[1:]


def loader(seed=0, epochs: int | None = 1):
    sampler = grain.samplers.IndexSampler(10, grain.sharding.NoSharding(), shuffle=True, seed=seed, num_epochs=epochs)
    batch = grain.transforms.Batch(5, drop_remainder=True)
    return grain.DataLoader(data_source=np.arange(10), sampler=sampler, operations=[batch], worker_count=0)


def test_data_loader():
    source = pxd.as_batches(loader())
    assert lists(source.epoch(0)) == lists(source.epoch(1))
    assert sorted(itertools.chain(*lists(source.epoch(0)))) == list(range(10))
    assert lists(source.epoch(1, 1)) == lists(source.epoch(0))[1:]


def test_data_loader_for_each_epoch_and_for_all():
    each = pxd.as_batches(lambda k: loader(seed=k), batches_per_epoch=2)
    assert lists(each.epoch(0)) != lists(each.epoch(1))
    assert lists(each.epoch(1)) == lists(loader(seed=1))
    endless = pxd.as_batches(loader(epochs=None), batches_per_epoch=2)
    assert lists(endless.epoch(0)) != lists(endless.epoch(1))
    assert lists(endless.epoch(1)) == lists(itertools.islice(loader(epochs=None), 2, 4))
