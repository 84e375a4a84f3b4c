package job_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/job"
)

// TestAJobThatWentWithItsTenantIsNotMissed ends a job whose row is gone, as a deletion of everything leaves it.
func TestAJobThatWentWithItsTenantIsNotMissed(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.add(y.tenant())
	var log bytes.Buffer
	l := newLedger()
	e := job.NewEngine(y.store, map[job.Kind]job.Handler{job.Sync: hands{handle: func(context.Context, job.Job) job.Outcome {
		y.exec(`delete from tenant`)
		return job.Outcome{Ending: job.Gone}
	}}}, job.Options{Poll: 10 * time.Millisecond, Holder: "test"}, slog.New(slog.NewTextHandler(&log, nil)), l)
	e.Start()
	if got := <-l.ending; got != "gone" {
		t.Errorf("the job ended %s", got)
	}
	y.stop(e)
	if strings.Contains(log.String(), "cannot record") || y.row() != "none" {
		t.Errorf("left: %s\n%s", y.row(), log.String())
	}
}
