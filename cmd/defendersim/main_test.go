package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func noEnv(string) string { return "" }

// launch runs the program on free ports and returns the line it prints.
func launch(t *testing.T, env func(string) string, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, append([]string{"--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--machines", "20", "--catalogue", "300"}, args...), env, in, io.Discard)
		_ = in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	line := map[string]string{}
	if err := json.NewDecoder(out).Decode(&line); err != nil {
		t.Fatal(err)
	}
	return line
}

func TestEveryApplicationFailsItsOwnWay(t *testing.T) {
	t.Parallel()
	line := launch(t, noEnv, "--tls")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	fetch := func(r *http.Request, into any) int {
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	request := func(method, target, body, token string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+token)
		return r
	}
	var index struct {
		Directories []struct {
			ID   string
			Apps []struct {
				ClientID string `json:"client_id"`
				Secret   string
			}
		}
	}
	fetch(request("GET", line["control"]+"/", "", ""), &index)
	outcome := func(directory, id, secret string) string {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
			"scope": {"https://api.securitycenter.microsoft.com/.default"}}
		var token struct {
			Error       string
			AccessToken string `json:"access_token"`
		}
		if fetch(request("POST", line["api"]+"/"+directory+"/oauth2/v2.0/token", form.Encode(), ""), &token) != 200 {
			return token.Error
		}
		got := ""
		for _, path := range []string{"/api/machines?$top=1", "/api/vulnerabilities?$top=1"} {
			var body struct{ Error struct{ Code string } }
			fetch(request("GET", line["api"]+path, "", token.AccessToken), &body)
			got += " " + body.Error.Code
		}
		return strings.TrimSpace(got)
	}
	want := map[string]string{"1a01": "", "f001": "invalid_client", "f002": "Forbidden Forbidden", "f003": "Forbidden", "f004": "invalid_client",
		"f005": "unauthorized_client", "f006": "invalid_grant"}
	seen := 0
	for _, d := range index.Directories {
		for _, a := range d.Apps {
			got := outcome(d.ID, a.ClientID, a.Secret)
			expected := want[a.ClientID[32:]]
			switch d.ID[32:] {
			case "f001":
				expected = "Unauthorized"
			case "f003":
				expected = "invalid_resource"
			}
			if got != expected {
				t.Errorf("directory %s, application %s: %q, want %q", d.ID, a.ClientID, got, expected)
			}
			seen++
		}
	}
	if seen != 10 {
		t.Errorf("%d applications", seen)
	}
}

// TestTheCertificateIsTrusted reaches the program under a name of Microsoft's with the certificate it wrote.
func TestTheCertificateIsTrusted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	line := launch(t, noEnv, "--tls", "--certificate-file", file, "--cloud", "gcc_high")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	for host, status := range map[string]int{"login.microsoftonline.us": 200, "login.microsoftonline.com": 400, "localhost": 200} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: host}}}
		r, err := http.NewRequestWithContext(t.Context(), "GET", line["api"]+"/"+line["directory"]+"/v2.0/.well-known/openid-configuration", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != status {
			t.Errorf("%s: status %d, want %d", host, res.StatusCode, status)
		}
		client.CloseIdleConnections()
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i+1 < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	o, err := parseOptions([]string{"--machines", "7"}, env("DEFENDERSIM_MACHINES", "9", "DEFENDERSIM_CLIENT_ID", "x", "DEFENDERSIM_SECRET_FILE", file), io.Discard)
	if err != nil || o.machines != 7 || o.client != "x" || o.secret != "from-file" || !o.quotas {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = parseOptions([]string{"--switches", `{"clamp_top":true}`, "--cloud", "dod"}, env("DEFENDERSIM_SWITCHES", `{"exact_paths":true}`), io.Discard)
	if err != nil || !o.switches.ClampTop || !o.switches.ExactPaths || o.cloud != "dod" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseOptions(nil, env("DEFENDERSIM_SECRET", "s", "DEFENDERSIM_SNAPSHOTS", "6h"), io.Discard); err != nil || o.secret != "s" || !o.switches.SixHourSnapshots {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseOptions(nil, noEnv, io.Discard); err != nil || len(o.secret) != 40 || o.secret[5] != '~' {
		t.Errorf("made-up secret of %d characters, %v", len(o.secret), err)
	}
	for _, bad := range [][]string{{"--catalogue", "0"}, {"extra"}, {"--nope"}, {"--machines", "x"}, {"--switches", `{"clamp":true}`}, {"--certificate-file", "x"}, {"--snapshots", "5h"}} {
		if _, err := parseOptions(bad, noEnv, io.Discard); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	for _, bad := range [][]string{{"DEFENDERSIM_MACHINES", "x"}, {"DEFENDERSIM_SECRET_FILE", file + ".none"}} {
		if _, err := parseOptions(nil, env(bad...), io.Discard); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	var help bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, noEnv, &help); err != flag.ErrHelp || !strings.Contains(help.String(), "-listen") {
		t.Errorf("%v %s", err, help.String())
	}
}

func TestBadDirectoryIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--directory", "nope"}, {"--machines", "-1"}, {"--client-id", "x"}, {"--cloud", "moon"}, {"--switches", `{"entra_status":{"1":1}}`},
		{"--tls", "--certificate-file", "/no/such/place"}} {
		if err := run(t.Context(), args, noEnv, io.Discard, io.Discard); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
