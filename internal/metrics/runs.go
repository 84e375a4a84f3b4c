package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

type runMetrics struct {
	kinds, states, stages, codes, outcomes words

	ended         *prometheus.CounterVec
	failures      *prometheus.CounterVec
	durations     *prometheus.HistogramVec
	stagesEnded   *prometheus.CounterVec
	stageDuration *prometheus.HistogramVec
	records       *prometheus.CounterVec
}

// runBuckets reach from an empty directory to two hundred thousand machines.
var runBuckets = []float64{1, 10, 60, 300, 1200, 3600}

var (
	finalStates = []syncer.RunState{syncer.Succeeded, syncer.PartiallySucceeded, syncer.Failed, syncer.Cancelled}
	stageEnds   = []syncer.RunState{syncer.Succeeded, syncer.Failed, syncer.Cancelled}
	stages      = []syncer.Stage{syncer.StageAuthenticate, syncer.StageAssets, syncer.StageCatalogue, syncer.StageVulnerabilities}
)

func newRunMetrics(f factory) runMetrics {
	m := runMetrics{
		kinds: wordsOf(syncer.KindSync, syncer.KindPurge), states: wordsOf(finalStates...), stages: wordsOf(stages...),
		codes: wordsOf(runCodes()...), outcomes: wordsOf(outcomes()...),
		ended:         f.counterVec("runs_total", "Runs that a worker ended, by kind and final state.", "kind", "state"),
		failures:      f.counterVec("run_failures_total", "Runs that did not read everything, by problem code.", "code"),
		durations:     f.histogramVec("run_duration_seconds", "Duration of ended runs.", runBuckets, "kind"),
		stagesEnded:   f.counterVec("run_stages_total", "Ended stages of runs by final state.", "stage", "state"),
		stageDuration: f.histogramVec("run_stage_duration_seconds", "Duration of ended stages of runs.", runBuckets, "stage"),
		records: f.counterVec("records_total",
			"Records read from Microsoft by stage and what became of them: fetched, accepted, or the reason for leaving them out.", "stage", "outcome"),
	}
	for _, kind := range []syncer.Kind{syncer.KindSync, syncer.KindPurge} {
		for _, state := range finalStates {
			m.ended.WithLabelValues(string(kind), string(state))
		}
		m.durations.WithLabelValues(string(kind))
	}
	for _, stage := range stages {
		for _, state := range stageEnds {
			m.stagesEnded.WithLabelValues(string(stage), string(state))
		}
		m.stageDuration.WithLabelValues(string(stage))
	}
	for code := range m.codes {
		m.failures.WithLabelValues(code)
	}
	m.startRecords()
	return m
}

// runCodes are the codes with which a run can end: those of the link to Microsoft and of the work itself.
func runCodes() []string {
	codes := []string{fault.CodeInternal, fault.CodeUnavailable}
	for _, d := range fault.Definitions() {
		switch d.Kind {
		case fault.Refused, fault.Unavailable:
			codes = append(codes, d.Code)
		}
	}
	return append(codes, fault.CodeWorkerLost, fault.CodeRunCancelled, fault.CodeSecretUnreadable)
}

var read = []string{"fetched", "accepted"}

func outcomes() []string {
	all := append([]string{}, read...)
	for _, r := range append(inventory.MachineReasons(), inventory.RowReasons()...) {
		all = append(all, string(r))
	}
	return all
}

func (m runMetrics) startRecords() {
	for _, outcome := range read {
		for _, stage := range []syncer.Stage{syncer.StageAssets, syncer.StageCatalogue, syncer.StageVulnerabilities} {
			m.records.WithLabelValues(string(stage), outcome)
		}
	}
	for _, reason := range inventory.MachineReasons() {
		m.records.WithLabelValues(string(syncer.StageAssets), string(reason))
	}
	for _, reason := range inventory.RowReasons() {
		m.records.WithLabelValues(string(syncer.StageVulnerabilities), string(reason))
	}
}

// RunEnded counts a run that reached its final state. The code is empty when nothing went wrong.
func (m *Metrics) RunEnded(kind syncer.Kind, state syncer.RunState, code string, took time.Duration) {
	k := m.runs.kinds.of(string(kind))
	m.runs.ended.WithLabelValues(k, m.runs.states.of(string(state))).Inc()
	m.runs.durations.WithLabelValues(k).Observe(took.Seconds())
	if code != "" {
		m.runs.failures.WithLabelValues(m.runs.codes.of(code)).Inc()
	}
}

// StageEnded counts a stage of a run.
func (m *Metrics) StageEnded(stage syncer.Stage, state syncer.RunState, took time.Duration) {
	s := m.runs.stages.of(string(stage))
	m.runs.stagesEnded.WithLabelValues(s, m.runs.states.of(string(state))).Inc()
	m.runs.stageDuration.WithLabelValues(s).Observe(took.Seconds())
}

// Records counts records of one outcome.
func (m *Metrics) Records(stage syncer.Stage, outcome string, n int64) {
	if n > 0 { // a correction of the run's report may be negative, a counter cannot go back
		m.runs.records.WithLabelValues(m.runs.stages.of(string(stage)), m.runs.outcomes.of(outcome)).Add(float64(n))
	}
}
