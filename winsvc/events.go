package winsvc

import (
	"errors"

	"linehaul/fault"
)

// The ids of what the service writes into the Windows event log, source
// linehaul, log Application. EventCreate.exe, which shows them, has texts for
// ids up to 1000.
const (
	EventStarted  uint32 = 100 // the service runs
	EventStopped  uint32 = 101 // it ended because it was asked to
	EventFailed   uint32 = 102 // it ended with an error, which the text gives
	EventStopLate uint32 = 103 // it did not stop in time; its log has the details
)

// event is an entry of the event log.
type event struct {
	id      uint32
	failure bool
	text    string
}

// endEvent describes the end of a service whose program returned err.
func endEvent(err error) event {
	if err == nil {
		return event{id: EventStopped, text: "The service has stopped."}
	}
	e := event{id: EventFailed, failure: true, text: fault.Line(err) + "\r\n" + fault.HintOf(err)}
	var late *StopLateError
	if errors.As(err, &late) {
		e.id = EventStopLate
	}
	return e
}
