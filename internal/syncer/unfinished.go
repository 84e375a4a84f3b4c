package syncer

import (
	"context"
	"time"

	"pgp.internal/defender/internal/connector"
)

// unfinishedTries is how many early runs follow each other because something could not be read: within an hour and a quarter.
const unfinishedTries = 4

// unfinished is what follows from a run that could not read everything: another one soon, as after a failure. What is still
// missing after some is left to the schedule, because each costs a whole reading. A catalogue with gaps is read again when it has
// reached its age, or by a run that somebody starts: before that, another run would leave them.
func (e *execution) unfinished(ctx context.Context) Consequence {
	c := Consequence{State: connector.StateDegraded, Reason: e.short, Unfinished: true, Reading: e.learnt}
	if failures := e.failuresBefore(ctx); failures < unfinishedTries {
		wait := backOff(failures)
		if e.unread == 0 {
			wait = max(wait, e.options.Catalogue.MaxAge)
		}
		c.RetryAt = e.now().Add(wait)
	}
	return c
}

// whatFollows tells when the next run tries to read what this one could not. A preview brings no other run.
func (e *execution) whatFollows(c *Consequence) string {
	switch {
	case !c.Unfinished || e.run.Preview != nil:
		return ""
	case c.RetryAt.IsZero():
		return " The next run of the schedule tries again."
	}
	due := c.RetryAt.Add(time.Minute - time.Nanosecond).Truncate(time.Minute) // a minute that is not over yet would be too early
	return " The next run is due on " + moment(due) + " at the latest."
}
