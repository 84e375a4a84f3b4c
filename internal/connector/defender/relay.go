package defender

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// relay hands batches to a consumer that works on a goroutine of its own, so that one batch is judged while the next is
// read. There are two batches: who is quicker waits for the other.
type relay[T any] struct {
	free     chan []T // to fill
	full     chan []T
	closing  sync.Once
	done     chan struct{} // closed when the consumer has ended
	failed   error         // why it ended; set before done is closed
	panicked any
}

// newRelay starts the consumer. Its batches have room for size items each.
func newRelay[T any](size int, yield func([]T) error) *relay[T] {
	r := &relay[T]{free: make(chan []T, 2), full: make(chan []T), done: make(chan struct{})}
	for range cap(r.free) {
		r.free <- make([]T, size)
	}
	go r.consume(yield)
	return r
}

func (r *relay[T]) consume(yield func([]T) error) {
	defer close(r.done)
	defer func() {
		if reason := recover(); reason != nil {
			r.panicked = fmt.Sprintf("%v\n%s", reason, debug.Stack())
		}
	}()
	for batch := range r.full {
		if r.failed = yield(batch); r.failed != nil {
			return
		}
		r.free <- batch[:cap(batch)]
	}
}

// next gives a batch to fill, or the consumer's error.
func (r *relay[T]) next() ([]T, error) {
	select {
	case batch := <-r.free:
		return batch, nil
	case <-r.done:
		return nil, r.result()
	}
}

// pass hands over what was filled of a batch. It returns the consumer's error, perhaps about an earlier batch.
func (r *relay[T]) pass(batch []T) error {
	select {
	case r.full <- batch:
		return nil
	case <-r.done:
		return r.result()
	}
}

// send hands over a copy of at most one batch's items, and returns the consumer's error like pass.
func (r *relay[T]) send(items []T) error {
	batch, err := r.next()
	if err != nil {
		return err
	}
	return r.pass(batch[:copy(batch, items)])
}

// close lets the consumer go once it is through with all batches. Nothing may be passed afterwards.
func (r *relay[T]) close() { r.closing.Do(func() { close(r.full) }) }

// end closes the relay and waits for the consumer.
func (r *relay[T]) end() error {
	r.close()
	<-r.done
	return r.result()
}

// result goes on with a panic of the consumer where its caller can deal with it.
func (r *relay[T]) result() error {
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.failed
}
