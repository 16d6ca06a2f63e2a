"""What a page takes after Stop: nothing."""

from learnrate.control import Scale, Stop
from learnrate.control.live.sources import state_of
from live_run import Client, running

OTHERS = ({"kind": "scale", "factor": 0.5}, {"kind": "undo"}, {"kind": "stop"}, {"kind": "cooldown", "length": 9})


def test_nothing_is_changed_after_stop():
    with running() as run:
        run.steps(5)
        run.control.request(Scale(0.9))
        run.step()
        client = Client(run.page)
        run.start()
        assert client.change({"kind": "stop"}).status == 200
        for change in OTHERS:
            answer = client.change(change)
            assert answer.status == 409
            assert "stopped" in answer.json()["error"]
            assert client.request("POST", "/api/preview", {"change": change, "from": 0, "to": 9}).status == 422
        # A loop that does not look at `stopped` trains on.
        run.end()
        run.steps(3)
        assert [event.kind for event in run.control.events] == ["scale", "stop"]
        state = state_of(run.page)
        assert (state["status"], state["can_change"]) == ("running", False)
        assert "stopped" in state["refusal"]
        # A checkpoint that is loaded goes on.
        run.control.load_state_dict(run.control.state_dict())
        assert state_of(run.page)["can_change"]
        assert state_of(run.page)["refusal"] == ""


def test_stop_is_taken_once_before_it_is_applied():
    with running() as run:
        run.step()
        asked = run.page.request(Stop(), "enough")
        second = run.page.request(Stop(), "")
        assert "already" in str(second.exception(0))
        for change in OTHERS:
            answer = Client(run.page).change(change)
            assert (answer.status, "already" in answer.json()["error"]) == (409, True)
        run.step()
        assert asked.result(0).kind == "stop"
        assert [event.reason for event in run.control.events] == ["enough"]


def test_stop_that_is_taken_back_before_it_is_applied_ends_nothing():
    with running() as run:
        run.step()
        assert run.page.request(Stop(), "").cancel()
        assert state_of(run.page)["can_change"]
        run.page.request(Scale(0.5), "")
        run.step()
        assert [event.kind for event in run.control.events] == ["scale"]
