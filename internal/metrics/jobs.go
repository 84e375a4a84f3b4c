package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pgp.internal/defender/internal/job"
)

type jobMetrics struct {
	kinds, endings words

	ended   *prometheus.CounterVec
	seconds *prometheus.CounterVec
	running prometheus.Gauge
}

// buried is the ending of a job that was set aside for good.
const buried = "buried"

func newJobMetrics(f factory) jobMetrics {
	endings := []string{job.Done.String(), job.Retry.String(), job.HandBack.String(), job.Snooze.String(), job.Gone.String(), buried}
	kinds := []job.Kind{job.Sync, job.Purge, job.Offboard}
	m := jobMetrics{
		kinds: wordsOf(kinds...), endings: wordsOf(endings...),
		ended:   f.counterVec("jobs_total", "Attempts at jobs by ending; buried ones were set aside for good.", "kind", "ending"),
		seconds: f.counterVec("job_seconds_total", "Time spent on attempts at jobs.", "kind"),
		running: f.gauge("jobs_running", "Jobs that this process works on now."),
	}
	for _, kind := range kinds {
		for _, ending := range endings {
			m.ended.WithLabelValues(string(kind), ending)
		}
		m.seconds.WithLabelValues(string(kind))
	}
	return m
}

// JobEnded counts an attempt at a job.
func (m *Metrics) JobEnded(kind job.Kind, ending string, took time.Duration) {
	k := m.jobs.kinds.of(string(kind))
	m.jobs.ended.WithLabelValues(k, m.jobs.endings.of(ending)).Inc()
	m.jobs.seconds.WithLabelValues(k).Add(took.Seconds())
}

// JobsRunning says how many jobs this process works on.
func (m *Metrics) JobsRunning(n int) { m.jobs.running.Set(float64(n)) }
