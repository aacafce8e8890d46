"""The queue in front of the models: never longer than it may be, and no place is lost."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from rag_lib.service.work import Busy, Closing, Late, WorkQueue


@pytest.fixture
def queue():
    queue = WorkQueue(waiting=2, seconds=5.0)
    yield queue
    queue.close(5.0)
    assert not queue.thread.is_alive()


class Blocker:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.go.wait(20)
        return "done"


async def begun(queue, blocker) -> asyncio.Task:
    task = asyncio.create_task(queue.do(blocker))
    assert await asyncio.to_thread(blocker.begun.wait, 20)
    return task


def test_work_is_done_in_its_thread_in_the_order_of_asking(queue):
    async def main():
        blocker, order = Blocker(), []
        first = await begun(queue, blocker)
        rest = [
            asyncio.create_task(queue.do(lambda i=i: order.append((i, threading.current_thread().name))))
            for i in (1, 2)
        ]
        await asyncio.sleep(0)
        blocker.go.set()
        await asyncio.gather(first, *rest)
        return order

    assert asyncio.run(main()) == [(1, "models"), (2, "models")]


def test_one_too_many_is_refused_at_once_and_told_when_to_come_again(queue):
    async def main():
        blocker = Blocker()
        first = await begun(queue, blocker)
        waiting = [asyncio.create_task(queue.do(lambda: "waited")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy) as refused:
            await queue.do(lambda: "refused")
        blocker.go.set()
        return refused.value.retry_after, await first, await asyncio.gather(*waiting), await queue.do(lambda: "later")

    after, first, waited, later = asyncio.run(main())
    assert after >= 1 and (first, waited, later) == ("done", ["waited", "waited"], "later")


def test_whoever_waits_too_long_is_told_so_and_is_not_worked_for():
    async def main():
        queue, blocker, done = WorkQueue(2, 0.2), Blocker(), []
        first = await begun(queue, blocker)
        with pytest.raises(Late, match="it had not begun"):
            await queue.do(lambda: done.append("never"))
        with pytest.raises(Late, match="it had begun"):
            await first
        assert len(queue) == 0
        blocker.go.set()
        await queue.do(lambda: done.append("after"))
        queue.close(5)
        return done

    assert asyncio.run(main()) == ["after"]


def test_whoever_leaves_while_waiting_gives_the_place_back(queue):
    async def main():
        blocker, done = Blocker(), []
        first = await begun(queue, blocker)
        for _ in range(10):  # many more than there are places
            waiting = asyncio.create_task(queue.do(lambda: done.append("never")))
            await asyncio.sleep(0)
            assert len(queue) == 1
            waiting.cancel()
            await asyncio.wait({waiting})
            assert len(queue) == 0
        blocker.go.set()
        await first
        return done

    assert asyncio.run(main()) == []


def test_whoever_leaves_in_the_middle_ends_the_work(queue):
    ended, steps = threading.Event(), []

    def work():
        try:
            for i in range(10**6):
                steps.append(i)
                yield i
        finally:
            ended.set()

    async def main():
        async with aclosing(queue.stream(work)) as results:
            async for i in results:
                if i == 3:
                    break
        assert await asyncio.to_thread(ended.wait, 5)

    asyncio.run(main())
    assert len(steps) < 10**6


def test_errors_reach_whoever_asked_and_the_thread_goes_on(queue):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await queue.do(lambda: 1 / 0)
        return await queue.do(lambda: "alive")

    assert asyncio.run(main()) == "alive"


def test_closing_finishes_what_was_taken_and_refuses_what_comes():
    async def main():
        queue, blocker = WorkQueue(2, 5.0), Blocker()
        first = await begun(queue, blocker)
        second = asyncio.create_task(queue.do(lambda: "taken"))
        await asyncio.sleep(0)
        queue.close()
        with pytest.raises(Closing):
            await queue.do(lambda: "refused")
        blocker.go.set()
        return await first, await second, await asyncio.to_thread(queue.thread.join, 5)

    assert asyncio.run(main()) == ("done", "taken", None)


def test_work_that_hangs_is_noticed():
    async def main():
        queue, blocker = WorkQueue(2, 0.05), Blocker()
        first = await begun(queue, blocker)
        assert not queue.is_stuck()
        with pytest.raises(Late):
            await first
        await asyncio.sleep(0.2)
        stuck = queue.is_stuck()
        blocker.go.set()
        await queue.do(lambda: None, 5)
        queue.close(5)
        return stuck, queue.is_stuck()

    assert asyncio.run(main()) == (True, False)
