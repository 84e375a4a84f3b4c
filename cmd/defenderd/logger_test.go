package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/seal"
)

func TestLogLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newLogger(&out, config.Config{LogJSON: true})
	east := time.FixedZone("east", 3600)
	log.Info("a\nb", "took", 1500*time.Millisecond, "at", time.Date(2027, 1, 1, 0, 30, 0, 0, east), "key", seal.NewSecret("sesame"))
	log.Debug("too fine")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, &out)
	}
	if line["took"] != "1.5s" || line["at"] != "2026-12-31T23:30:00Z" || line["msg"] != "a\nb" || !strings.HasSuffix(line["time"].(string), "Z") {
		t.Errorf("%v", line)
	}
	if strings.Contains(out.String(), "sesame") {
		t.Error("a secret is logged")
	}
}
