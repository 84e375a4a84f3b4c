package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"pgp.internal/defender/internal/secrethunt"
)

// hunt knows the keyrings of all services and commands of the tests, and the API keys that commands made.
var hunt = secrethunt.New()

var newKey = regexp.MustCompile(`pgpd_[A-Za-z0-9_-]{43}`)

func learnKeyring(environ []string) {
	for _, setting := range environ {
		name, value, _ := strings.Cut(setting, "=")
		if name == "DEFENDERD_KEYRING_FILE" {
			text, _ := os.ReadFile(value) // where there is none, the test wants the service to notice
			value = string(text)
		}
		if strings.HasPrefix(name, "DEFENDERD_KEYRING") {
			hunt.Keyring(value)
		}
	}
}

// huntCommand searches what a command tells beside its result, which alone may show a new API key.
func huntCommand(t *testing.T, environ []string, out, told string, err error) {
	t.Helper()
	learnKeyring(environ)
	for _, key := range newKey.FindAllString(out, -1) {
		hunt.Bearer(key)
	}
	hunt.Check(t, "standard error of a command", told)
	if err != nil {
		hunt.Check(t, "error of a command", err.Error())
	}
}

// huntLog searches the log of a service.
func huntLog(t *testing.T, environ []string, log string) {
	t.Helper()
	learnKeyring(environ)
	hunt.Check(t, "log of a service", log)
}

// huntMetrics searches what a service tells whoever scrapes it; one that has ended already tells nothing.
func huntMetrics(t *testing.T, admin string) {
	t.Helper()
	if admin == "" {
		return
	}
	client := http.Client{Timeout: patience}
	resp, err := client.Get(admin + "/metrics")
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "defender_build_info") {
		t.Errorf("the metrics of a service: %s, %v, %.200q", resp.Status, err, text)
	}
	hunt.Check(t, "metrics of a service", string(text))
}
