package syncer_test

import (
	"io"
	"log/slog"
	"os"
)

// logger writes everything, and into the log that is searched for secrets.
func (h *house) logger() *slog.Logger {
	var to io.Writer = &h.log
	if os.Getenv("TEST_LOG") != "" {
		to = io.MultiWriter(to, os.Stderr)
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// endHunt searches, at the end of every test, its log and all tables for the client secrets and private keys that the test gave
// away, the tokens that it got for them and the key that seals.
func (h *house) endHunt() {
	h.hunt.Search("log", h.log.String())
	h.hunt.CheckTables(h.t, h.url)
	h.hunt.Report(h.t)
}
