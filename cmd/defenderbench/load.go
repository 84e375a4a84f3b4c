package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// load is what came of reading one address over and over.
type load struct {
	requests int64
	answers  int64 // with those that are not counted
	rate     float64
	p50, p99 time.Duration
	size     int64 // of one answer's body
}

// warmUp is the part of the time that is not counted: connections are opened, statements prepared and planned in it.
const warmUp = 0.2

// repeat reads a target over several connections that stay open, each sending its next request when it has its answer. It
// speaks HTTP over bare connections, because the client of net/http would take more of the shared processor than it must.
func repeat(ctx context.Context, target, key string, connections int, lasting time.Duration) (load, error) {
	u, err := url.Parse(target)
	if err != nil {
		return load{}, err
	}
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n\r\n",
		u.RequestURI(), u.Host, key)
	began := time.Now().Add(time.Duration(float64(lasting) * warmUp))
	ends := began.Add(lasting)
	ctx, cancel := context.WithDeadline(ctx, ends.Add(30*time.Second))
	defer cancel()
	readers := make([]reader, connections)
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			if err := readers[i].run(ctx, u.Host, request, began, ends); err != nil {
				readers[i].err = fmt.Errorf("GET %s: %w", u.Path, err)
				cancel()
			}
		})
	}
	group.Wait()
	return together(readers, ends.Sub(began))
}

// reader is one connection.
type reader struct {
	took    []time.Duration
	answers int64
	size    int64
	err     error
}

func (r *reader) run(ctx context.Context, host string, request []byte, began, ends time.Time) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReaderSize(conn, 32<<10)
	for {
		sent := time.Now()
		if !sent.Before(ends) {
			return nil
		}
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if r.size, err = answered(in); err != nil {
			return err
		}
		r.answers++
		if !sent.Before(began) {
			r.took = append(r.took, time.Since(sent))
		}
	}
}

// answered reads an answer and throws it away.
func answered(in *bufio.Reader) (int64, error) {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the answer is %s", resp.Status)
	}
	return n, errors.Join(err, resp.Body.Close())
}

func together(readers []reader, lasting time.Duration) (load, error) {
	var took []time.Duration
	var errs []error
	l := load{}
	for i := range readers {
		took = append(took, readers[i].took...)
		errs = append(errs, readers[i].err)
		l.size = max(l.size, readers[i].size)
		l.answers += readers[i].answers
	}
	if err := errors.Join(errs...); err != nil {
		return load{}, err
	}
	if len(took) == 0 {
		return load{}, errors.New("not one answer came in time")
	}
	slices.Sort(took)
	l.requests, l.rate = int64(len(took)), float64(len(took))/lasting.Seconds()
	l.p50, l.p99 = percentile(took, 50), percentile(took, 99)
	return l, nil
}

// percentile of durations in ascending order: the least that is no smaller than so many of a hundred.
func percentile(sorted []time.Duration, percent int) time.Duration {
	at := (len(sorted)*percent + 99) / 100
	return sorted[max(at, 1)-1]
}
