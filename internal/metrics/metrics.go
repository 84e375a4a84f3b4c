package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Operation is one route template with one method of the public API, as in "GET /v1/assets/{id}".
type Operation struct{ Method, Route string }

// Build names the running program.
type Build struct{ Version, Revision, GoVersion string }

// Metrics hears what happens in the service: it is the Meter of jobs, of runs and of HTTP requests, and the Observer of
// calls to Microsoft and to the key service. It is safe for concurrent use.
type Metrics struct {
	http     httpMetrics
	runs     runMetrics
	jobs     jobMetrics
	upstream upstreamMetrics
	keys     keyMetrics
}

// New registers everything that the process itself knows, with all known series at 0. Operations are those of the public
// API; requests to anything else count as unmatched.
func New(reg prometheus.Registerer, build Build, operations []Operation) *Metrics {
	f := factory{reg}
	m := &Metrics{http: newHTTPMetrics(f, operations), runs: newRunMetrics(f), jobs: newJobMetrics(f), upstream: newUpstreamMetrics(f), keys: newKeyMetrics(f)}
	f.gaugeVec("build_info", "Always 1; the labels say what is running.", "version", "revision", "goversion").
		WithLabelValues(build.Version, build.Revision, build.GoVersion).Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// factory makes registered metrics with the common prefix.
type factory struct{ reg prometheus.Registerer }

func register[C prometheus.Collector](f factory, c C) C {
	f.reg.MustRegister(c)
	return c
}

func (f factory) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return register(f, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels))
}

func (f factory) counter(name, help string) prometheus.Counter {
	return register(f, prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}))
}

func (f factory) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	return register(f, prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels))
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return register(f, prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}))
}

func (f factory) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return register(f, prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels))
}
