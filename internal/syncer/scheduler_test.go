package syncer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scripted answers one look after the other and repeats the last answer.
type scripted struct {
	answers []answer
	asked   []time.Time
	hold    chan struct{} // when set, looks wait for it and ignore their context
	batches int           // how many more prunings find something
	pruned  []time.Time
}

type answer struct {
	queued int
	err    error
}

func (s *scripted) ScheduleDue(_ context.Context, now time.Time) (int, error) {
	s.asked = append(s.asked, now)
	if s.hold != nil {
		<-s.hold
	}
	a := s.answers[min(len(s.asked), len(s.answers))-1]
	return a.queued, a.err
}

func (s *scripted) Prune(_ context.Context, now time.Time) (int64, bool, error) {
	s.pruned = append(s.pruned, now)
	s.batches--
	return int64(max(0, s.batches+1)), s.batches > 0, nil
}

func TestSchedulerPrunesHourlyAndOnWhileThereIsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := &scripted{answers: []answer{{}}, batches: 3}
		began := time.Now()
		s := NewScheduler(queue, func() { t.Error("woken by nothing") }, SchedulerOptions{}, slog.New(slog.DiscardHandler))
		s.Start()
		time.Sleep(2*time.Hour + time.Minute)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		var after []time.Duration
		for _, at := range queue.pruned {
			after = append(after, at.Sub(began))
		}
		if want := []time.Duration{0, 5 * time.Second, 10 * time.Second, time.Hour + 10*time.Second, 2*time.Hour + 10*time.Second}; !slices.Equal(after, want) {
			t.Errorf("pruned after %v, want %v", after, want)
		}
	})
}

func TestSchedulerLooksAtOnceAndThenRegularly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := &scripted{answers: []answer{{queued: 2}, {}, {queued: 1}, {}}}
		woken, began := 0, time.Now()
		s := NewScheduler(queue, func() { woken++ }, SchedulerOptions{}, slog.New(slog.DiscardHandler))
		s.Start()
		time.Sleep(17 * time.Second)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for i, at := range queue.asked {
			if want := time.Duration(i) * 5 * time.Second; at.Sub(began) != want {
				t.Errorf("look %d after %v, not %v", i, at.Sub(began), want)
			}
		}
		if len(queue.asked) != 4 || woken != 2 {
			t.Errorf("%d looks, woken %d times; want 4 and 2", len(queue.asked), woken)
		}
	})
}

func TestSchedulerReportsAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := answer{err: errors.New("the database is away")}
		queue := &scripted{answers: []answer{away, away, away, {}, away, {}}}
		var log bytes.Buffer
		s := NewScheduler(queue, func() { t.Error("woken by nothing") }, SchedulerOptions{Every: time.Second}, slog.New(slog.NewTextHandler(&log, nil)))
		s.Start()
		time.Sleep(10*time.Second + time.Millisecond)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if bad, good := strings.Count(log.String(), "cannot look"), strings.Count(log.String(), "works again"); bad != 2 || good != 2 {
			t.Errorf("%d warnings and %d all-clears for two outages:\n%s", bad, good, &log)
		}
	})
}

func TestSchedulerStopWaitsOnlyAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := &scripted{answers: []answer{{}}, hold: make(chan struct{})}
		s := NewScheduler(queue, func() {}, SchedulerOptions{}, slog.New(slog.DiscardHandler))
		s.Start()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Stop(ctx); err == nil {
			t.Error("stopped although a look was still going on")
		}
		close(queue.hold)
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
