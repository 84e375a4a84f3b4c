package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/kms/kmstest"
	"pgp.internal/defender/internal/seal"
)

// binary is the command as it is delivered, built once for all tests that need a process.
var binary struct {
	once      sync.Once
	dir, path string
	err       error
}

func builtBinary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "defenderd"); binary.err != nil {
			return
		}
		binary.path = filepath.Join(binary.dir, "defenderd")
		if out, err := exec.Command("go", "build", "-o", binary.path, ".").CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// TestBadKeysStopTheStart runs bad set-ups: the binary ends by itself within 5 seconds, names the setting and not its value, and has
// written nothing.
func TestBadKeysStopTheStart(t *testing.T) {
	t.Parallel()
	path := builtBinary(t)
	line := seal.NewKey().Reveal()
	id, key, _ := strings.Cut(line, ":")
	_, other, _ := strings.Cut(seal.NewKey().Reveal(), ":")
	environ, _ := connected(t, line)
	service := kmstest.New()
	vault := vaultSettings(t, service)
	must(t, append(append(environ, "DEFENDERD_KEYRING="+line), vault...), "keyring", "reseal")
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	encode := base64.StdEncoding.EncodeToString
	impostor := vaultSettings(t, kmstest.New())
	const keyring, kek = "DEFENDERD_KEYRING", "DEFENDERD_KEK"
	for name, test := range map[string]struct {
		settings []string
		names    string
	}{
		"no keyring":                          {nil, keyring},
		"no file of the keyring":              {[]string{"DEFENDERD_KEYRING_FILE=/nonexistent/sesame"}, "DEFENDERD_KEYRING_FILE"},
		"short key":                           {[]string{keyring + "=k:" + encode([]byte("sesame-sesame-se"))}, keyring},
		"all bytes equal":                     {[]string{keyring + "=k:" + encode(bytes.Repeat([]byte{0xa5}, 32))}, keyring},
		"known example":                       {[]string{keyring + "=k:YD3rEBXKcb4rc67whX13gR81LAc7YQjXLZgQowkU3/Q="}, keyring},
		"one id twice":                        {[]string{keyring + "=" + line + "\n" + id + ":" + other}, keyring},
		"one key twice":                       {[]string{keyring + "=" + line + "\nk2:" + key}, keyring},
		"another key by the id":               {append([]string{keyring + "=" + id + ":" + other}, vault...), keyring},
		"data keys of a key service only":     {[]string{keyring + "=" + line}, kek},
		"key service without a form":          {[]string{keyring + "=" + line, kek + "=vault://sesame"}, kek},
		"key service of a former without one": {[]string{keyring + "=" + line, "DEFENDERD_KEK_FORMER=sesame"}, "DEFENDERD_KEK_FORMER"},
		"http to elsewhere":                   {[]string{keyring + "=" + line, kek + "=hashivault://k?address=http://sesame.example:8200"}, kek},
		"Vault without a token":               {append([]string{keyring + "=" + line}, vault[0]), "DEFENDERD_VAULT_TOKEN_FILE"},
		"a key service never reached":         {append([]string{keyring + "=" + line, kek + "=hashivault://sesame?address=http://127.0.0.1:9", "DEFENDERD_KEK_FORMER=" + strings.TrimPrefix(vault[0], kek+"=")}, vault[1]), kek},
		"another key service by the name":     {append([]string{keyring + "=" + line}, impostor...), kek},
	} {
		t.Run(name, func(t *testing.T) {
			before := everything(t, url)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
			cmd.Env = append(environ[:len(environ):len(environ)], test.settings...)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() < 1 {
				t.Fatalf("ended with %v: %s", err, out)
			}
			if !strings.Contains(string(out), test.names) {
				t.Errorf("%s is not named: %s", test.names, out)
			}
			for _, value := range []string{key, other, "sesame", key[:12], "YD3rEBXKcb4r", "paWlpaWl"} {
				if strings.Contains(string(out), value) {
					t.Errorf("the value %q is shown: %s", value, out)
				}
			}
			if everything(t, url) != before {
				t.Error("something was written")
			}
		})
	}
}

// everything is the text of all rows of the database.
func everything(t *testing.T, url string) string {
	t.Helper()
	var text string
	err := ownerOf(t, url).QueryRow(`
		select string_agg(query_to_xml(format('select * from %I t order by t::text', relname), true, true, '')::text, '' order by relname)
		from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
