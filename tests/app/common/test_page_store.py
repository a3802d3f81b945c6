"""What is stored for each page is bounded: by number, by size, and only as long as somebody uses it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.common.page_lifecycle import PageLifecycle, PageService
from app.common.page_store import PageStore


@pytest.fixture
def forgotten() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def store(forgotten: list[tuple[str, int]]) -> PageStore[int]:
    return PageStore(3, lambda page, value: forgotten.append((page, value)))


def test_the_least_recently_used_make_room(store: PageStore[int], forgotten: list[tuple[str, int]]) -> None:
    for value, page in enumerate("abc"):
        store.put(page, value)
    assert store.get("a") == 0  # now b is the one that was not used for longest
    assert store.get_or_create("d", lambda: 3) == 3
    assert forgotten == [("b", 1)]
    assert [page for page, _ in store.items()] == ["c", "a", "d"]
    assert store.get("b") is None


def test_a_replaced_value_is_forgotten_and_a_stored_one_is_not_made_again(
    store: PageStore[int], forgotten: list[tuple[str, int]]
) -> None:
    store.put("a", 1)
    store.put("a", 2)
    assert forgotten == [("a", 1)]
    assert store.get_or_create("a", lambda: 3) == 2
    store.put("a", 2)
    assert forgotten == [("a", 1)], "it is the same one"


def test_who_takes_a_value_out_goes_on_with_it(store: PageStore[int], forgotten: list[tuple[str, int]]) -> None:
    store.put("a", 1)
    assert (store.pop("a"), store.pop("a")) == (1, None)
    assert forgotten == []
    store.put("b", 2)
    store.put("c", 3)
    store.forget("b")
    store.forget("nobody")
    store.clear()
    assert forgotten == [("b", 2), ("c", 3)]
    assert store.items() == []


def test_sizes_are_bounded_but_the_last_one_stays() -> None:
    store = PageStore[int](10, most_bytes=100, size=lambda value: value)
    for page, size in (("a", 40), ("b", 40), ("c", 40)):
        store.put(page, size)
    assert dict(store.items()) == {"b": 40, "c": 40}
    store.put("d", 1000)
    assert dict(store.items()) == {"d": 1000}


def test_whoever_is_told_may_use_the_store(forgotten: list[tuple[str, int]]) -> None:
    store: PageStore[int]
    store = PageStore(1, lambda page, value: forgotten.append((page, len(store.items()))))
    store.put("a", 1)
    store.put("b", 2)
    assert forgotten == [("a", 1)]


def test_many_threads_are_given_one_value() -> None:
    store, made = PageStore[object](5), threading.Barrier(8)

    def ask(_: int) -> object:
        made.wait(20)
        return store.get_or_create("page", object)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_every_service_is_told_what_becomes_of_a_page() -> None:
    stores, lifecycle = [PageStore[int](5) for _ in range(2)], PageLifecycle()
    lifecycle.add(*(PageService(store) for store in stores))
    for end, left in ((lifecycle.forget, ["b"]), (lifecycle.close, ["b"]), (lambda page: lifecycle.clear(), [])):
        for store in stores:
            store.put("a", 1)
            store.put("b", 2)
        end("a")
        assert [[page for page, _ in store.items()] for store in stores] == [left] * 2
