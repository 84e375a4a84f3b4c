package httpapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/tenant"
)

// TestLargeBodiesTakeNoMemory sends bodies of 12 MB at once, of known and of unknown length, and then as many that are nested as
// deeply as fits. It measures the whole process, so it runs alone. LARGE_BODIES sets how many; without it the machine has other
// things to do as well, and the health of the process has as long as any request.
func TestLargeBodiesTakeNoMemory(t *testing.T) {
	h := newHouse(t)
	most, patience := 20, 5*time.Second
	if text := os.Getenv("LARGE_BODIES"); text != "" {
		var err error
		most, err = strconv.Atoi(text)
		must(t, err)
		patience = time.Second
	}
	admin := httptest.NewServer(httpapi.Admin(httpapi.AdminDeps{Metrics: http.NotFoundHandler(), Ready: h.store.Ping, Log: h.deps.Log}))
	defer admin.Close()
	deep := `{"settings":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`
	nested := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	for name, c := range map[string]struct {
		body   func() io.Reader
		length int64
		status int
	}{
		"of known length":   {func() io.Reader { return io.LimitReader(endlessly{}, 12<<20) }, 12 << 20, http.StatusRequestEntityTooLarge},
		"of unknown length": {func() io.Reader { return io.LimitReader(endlessly{}, 12<<20) }, -1, http.StatusRequestEntityTooLarge},
		"of deep lists":     {func() io.Reader { return strings.NewReader(deep) }, int64(len(deep)), http.StatusBadRequest},
		"of deep objects":   {func() io.Reader { return strings.NewReader(nested) }, int64(len(nested)), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			peak := watchHeap(t)
			var all sync.WaitGroup
			for range most {
				all.Go(func() { h.post12(c.body(), c.length, c.status) })
			}
			began := time.Now()
			if got := h.send(raw{method: http.MethodGet, path: "/healthz", base: admin.URL}); got.status != http.StatusOK || time.Since(began) > patience {
				t.Errorf("health: %d after %v", got.status, time.Since(began))
			}
			all.Wait()
			grown := peak()
			t.Logf("the heap grew by %d MiB", grown>>20)
			if grown > 50<<20 {
				t.Error("that is more than 50 MiB")
			}
		})
	}
}

// endlessly reads as the beginning of a JSON string that does not end.
type endlessly struct{}

func (endlessly) Read(p []byte) (int, error) {
	return copy(p, quotes), nil
}

var quotes = strings.Repeat(`"`, 1<<20)

// post12 accepts that the connection is cut instead of an answer: the service does not read on.
func (h *house) post12(body io.Reader, length int64, status int) {
	r, err := http.NewRequest(http.MethodPost, h.url+"/v1/integrations", body)
	if err != nil {
		h.t.Error(err)
		return
	}
	r.ContentLength = length
	r.Header.Set("Authorization", "Bearer "+h.mine.keys[tenant.Admin])
	r.Header.Set("Content-Type", "application/json")
	resp, err := plain.Do(r)
	if err != nil {
		if length == -1 || length > 1<<20 {
			return
		}
		h.t.Error(err)
		return
	}
	// The database has to tell who asks before a body of unknown length is read, and with so many at once it may be short of connections.
	if got, err := read(resp); err == nil && got.status != status && (length != -1 || got.status != http.StatusServiceUnavailable) {
		h.t.Errorf("%d, want %d: %s", got.status, status, got.body)
	}
}

// watchHeap tells by how much the heap grew at most until it is asked: by what is held, since it has garbage collected early.
func watchHeap(t *testing.T) (peak func() uint64) {
	t.Helper()
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	collecting := debug.SetGCPercent(10)
	runtime.GC()
	before, most := inUse(), uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, inUse())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-stopped
		debug.SetGCPercent(collecting)
		return most - min(most, before)
	}
}
