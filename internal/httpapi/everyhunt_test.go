package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pgp.internal/defender/internal/metrics"
	"pgp.internal/defender/internal/seal"
)

// newRing makes a keyring whose keys must not come out.
func (h *house) newRing() *seal.Ring {
	h.t.Helper()
	line := seal.NewKey()
	h.hunt.Keyring(line.Reveal())
	ring, err := seal.ParseRing(line.Reveal())
	must(h.t, err)
	return ring
}

// endHunt searches, at the end of every test, what it has left behind for the secrets that it handed out or in. Its answers were
// searched as they were given.
func (h *house) endHunt() {
	h.hunt.Search("log", h.log.String())
	h.meter.mu.Lock()
	h.hunt.Search("labels of the requests' metrics", fmt.Sprint(h.meter.counts))
	h.meter.mu.Unlock()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewStoreCollector(h.store, h.clock.now))
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	h.hunt.Search("metrics", rec.Body.String())
	if err := h.hunt.Tables(h.owner); err != nil {
		h.t.Errorf("the hunt for secrets: %v", err)
	}
	h.hunt.Report(h.t)
}
