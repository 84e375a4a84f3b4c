package defendersim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong with matching requests. Several may be set; the first that matches and is not used
// up strikes. Without a Status, a body fault or a Hang, the ordinary answer follows after Delay and Hold.
type Fault struct {
	ID string `json:"id"` // "" means one is chosen

	// What it strikes; empty members match everything.
	Route      string `json:"route,omitempty"`       // name as in the journal
	PathPrefix string `json:"path_prefix,omitempty"` // compared without case
	Directory  string `json:"directory,omitempty"`   // id; requests without a valid token belong to none
	After      int    `json:"after,omitempty"`       // matching calls let through first
	Times      int    `json:"times,omitempty"`       // calls struck; 0 means all

	// What it does.
	Status        int      `json:"status,omitempty"`         // answer with this status instead
	Body          string   `json:"body,omitempty"`           // of that answer: json (default), html, xml (of the blob storage), empty or garbage
	Code          string   `json:"code,omitempty"`           // error code of a JSON body; "" means the usual one
	Message       string   `json:"message,omitempty"`        // its message
	RetryAfter    string   `json:"retry_after,omitempty"`    // header as given; "date:30s" means an HTTP date that far ahead
	Location      string   `json:"location,omitempty"`       // header of a redirect
	Headers       Headers  `json:"headers,omitempty"`        // more headers of that answer
	LinkBase      string   `json:"link_base,omitempty"`      // scheme and host of the links in the ordinary answer: a hostile nextLink
	Delay         Duration `json:"delay,omitempty"`          // before anything else
	Hold          bool     `json:"hold,omitempty"`           // wait until released
	Hang          bool     `json:"hang,omitempty"`           // never answer; end when the client leaves
	TruncateAfter int      `json:"truncate_after,omitempty"` // end the ordinary body cleanly after so many bytes
	ResetAfter    int      `json:"reset_after,omitempty"`    // cut the connection after so many bytes of it
	DripBytes     int      `json:"drip_bytes,omitempty"`     // send the ordinary body in pieces of this size
	DripPause     Duration `json:"drip_pause,omitempty"`     // with this pause between them
}

// Headers are header names with one value each.
type Headers map[string]string

// Duration is a time span that reads and writes as text, e.g. "1.5s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// FaultState is a fault with what it has done so far.
type FaultState struct {
	Fault
	Matched int `json:"matched"` // calls that matched
	Struck  int `json:"struck"`  // calls it struck
	Waiting int `json:"waiting"` // calls it holds now
}

type armed struct {
	FaultState
	reached  chan struct{} // closed when the first call is held
	released chan struct{} // closed on release
}

type faults struct {
	mu   sync.Mutex
	list []*armed
	last int
}

func newFaults() *faults { return &faults{} }

// AddFault arms a fault and returns its id.
func (s *Simulator) AddFault(f Fault) (string, error) {
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return "", fmt.Errorf("status %d is outside 200..599", f.Status)
	}
	switch f.Body {
	case "", "json", "html", "xml", "empty", "garbage":
	default:
		return "", fmt.Errorf("body %q is not json, html, xml, empty or garbage", f.Body)
	}
	if f.Route != "" && !slices.Contains(routeNames, f.Route) {
		return "", fmt.Errorf("route %q is none of %s", f.Route, strings.Join(routeNames, ", "))
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if f.ID == "" {
		s.faults.last++
		f.ID = fmt.Sprintf("fault-%d", s.faults.last)
	}
	for _, a := range s.faults.list {
		if a.ID == f.ID {
			return "", fmt.Errorf("fault %q exists", f.ID)
		}
	}
	f.Directory = strings.ToLower(f.Directory)
	s.faults.list = append(s.faults.list, &armed{FaultState: FaultState{Fault: f}, reached: make(chan struct{}), released: make(chan struct{})})
	return f.ID, nil
}

// Faults lists the armed faults, used up ones included.
func (s *Simulator) Faults() []FaultState {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := make([]FaultState, 0, len(s.faults.list))
	for _, a := range s.faults.list {
		out = append(out, a.FaultState)
	}
	return out
}

// ClearFaults removes all faults and releases the calls they hold.
func (s *Simulator) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	for _, a := range s.faults.list {
		a.release()
	}
	s.faults.list = nil
}

// RemoveFault removes one fault and releases the calls it holds; false when there is no such fault.
func (s *Simulator) RemoveFault(id string) bool {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	before := len(s.faults.list)
	s.faults.list = slices.DeleteFunc(s.faults.list, func(a *armed) bool {
		if a.ID != id {
			return false
		}
		a.release()
		return true
	})
	return len(s.faults.list) < before
}

// ReleaseFault lets the calls go that a fault holds, now and later; false when there is no such fault.
func (s *Simulator) ReleaseFault(id string) bool {
	a, ok := s.faults.find(id)
	if ok {
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		a.release()
	}
	return ok
}

// AwaitFault waits until a fault with Hold holds a call. The error is ctx's, or says that there is no such fault.
func (s *Simulator) AwaitFault(ctx context.Context, id string) error {
	a, ok := s.faults.find(id)
	if !ok {
		return fmt.Errorf("no fault %q", id)
	}
	select {
	case <-a.reached:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *faults) find(id string) (*armed, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.list {
		if a.ID == id {
			return a, true
		}
	}
	return nil, false
}

// release is called with the lock held.
func (a *armed) release() {
	select {
	case <-a.released:
	default:
		close(a.released)
	}
}

// choose counts the call and returns the fault that strikes it, if any.
func (f *faults) choose(r *http.Request, rt route, directoryID string) *armed {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.list {
		if !a.matches(r, rt, directoryID) {
			continue
		}
		a.Matched++
		if a.Matched <= a.After || (a.Times > 0 && a.Struck >= a.Times) {
			continue
		}
		a.Struck++
		return a
	}
	return nil
}

func (a *armed) matches(r *http.Request, rt route, directoryID string) bool {
	return (a.Route == "" || a.Route == rt.name) &&
		(a.Directory == "" || a.Directory == directoryID) &&
		strings.HasPrefix(strings.ToLower(r.URL.Path), strings.ToLower(a.PathPrefix))
}
