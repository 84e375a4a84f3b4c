package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type httpMetrics struct {
	known     map[Operation]bool
	requests  *prometheus.CounterVec
	responses *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
}

// unmatched stands for every request outside the contract, whatever its method.
var unmatched = Operation{Method: other, Route: "unmatched"}

// statuses are those the API answers with; a status is counted apart from the route to keep the number of series low.
var statuses = []int{200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 414, 415, 422, 428, 429, 500, 503}

func newHTTPMetrics(f factory, operations []Operation) httpMetrics {
	m := httpMetrics{
		known:     map[Operation]bool{unmatched: true},
		requests:  f.counterVec("http_requests_total", "Finished API requests by route template, method and class of the status.", "route", "method", "class"),
		responses: f.counterVec("http_responses_total", "Answers of the API by status.", "status"),
		durations: f.histogramVec("http_request_duration_seconds", "Time to answer an API request, by route template.",
			[]float64{0.01, 0.05, 0.2, 1, 5, 20}, "route"),
		inFlight: f.gauge("http_requests_in_flight", "API requests being answered now."),
	}
	for _, o := range operations {
		m.known[o] = true
	}
	for o := range m.known {
		for _, class := range []string{"2xx", "4xx", "5xx"} {
			m.requests.WithLabelValues(o.Route, o.Method, class)
		}
		m.durations.WithLabelValues(o.Route)
	}
	for _, s := range statuses {
		m.responses.WithLabelValues(strconv.Itoa(s))
	}
	m.responses.WithLabelValues(other)
	return m
}

// RequestStarted counts a request that is being answered.
func (m *Metrics) RequestStarted() { m.http.inFlight.Inc() }

// RequestFinished counts an answered request.
func (m *Metrics) RequestFinished(route, method string, status int, took time.Duration) {
	m.http.inFlight.Dec()
	o := Operation{Method: method, Route: route}
	if !m.http.known[o] {
		o = unmatched
	}
	m.http.requests.WithLabelValues(o.Route, o.Method, classOf(status)).Inc()
	m.http.responses.WithLabelValues(statusOf(status)).Inc()
	m.http.durations.WithLabelValues(o.Route).Observe(took.Seconds())
}

// classOf counts 3xx with 2xx: the API's only one is 304, an answer like any other.
func classOf(status int) string {
	switch {
	case status >= 500:
		return "5xx"
	case status >= 400:
		return "4xx"
	}
	return "2xx"
}

func statusOf(status int) string {
	for _, s := range statuses {
		if s == status {
			return strconv.Itoa(s)
		}
	}
	return other
}
