package pgserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// install puts programs into dir that say they are of the given version.
// install holds off other processes while it writes; see copyProgram.
func install(t *testing.T, dir, version string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", name, version)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	root := openDirectory(t)
	for _, version := range []string{"9.6", "15.14", "18beta2"} {
		install(t, filepath.Join(root, "lib", version[:2], "bin"), version)
	}
	install(t, filepath.Join(root, "path"), "16.3 (Debian 16.3-1)")
	install(t, filepath.Join(root, "old"), "14.9")
	broken := filepath.Join(root, "broken")
	install(t, broken, "17.1")
	if err := os.WriteFile(filepath.Join(broken, "initdb"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	lib := filepath.Join(root, "lib", "*", "bin")
	tests := []struct {
		name      string
		path      string
		major     int
		wantDir   string
		wantMajor int
		wantError string
	}{
		{name: "newest of several", wantDir: "lib/18/bin", wantMajor: 18},
		{name: "path goes first", path: root + "/path", wantDir: "path", wantMajor: 16},
		{name: "the data decides", path: root + "/path", major: 15, wantDir: "lib/15/bin", wantMajor: 15},
		{name: "too old and broken ones are passed over", path: root + "/old:" + broken + ":" + root + "/path", wantDir: "path", wantMajor: 16},
		{name: "data of a release that is not here", major: 13, wantError: "the data is of release 13"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := machine{path: test.path, patterns: []string{lib}}
			got, err := m.find(t.Context(), chooseAccount(t.Context(), ""), test.major)
			if test.wantError != "" {
				if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), test.wantError) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.dir != filepath.Join(root, test.wantDir) || got.major != test.wantMajor {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestNothingFoundListsWaysOut(t *testing.T) {
	t.Parallel()
	root := openDirectory(t)
	install(t, filepath.Join(root, "old"), "14.9")
	m := machine{path: filepath.Join(root, "old"), tempDirs: []string{root}}
	_, err := m.start(t.Context(), Options{})
	if !errors.Is(err, ErrNoServer) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"1. ", "2. ", "3. ", EnvURL, "make setup", "release 14, at least 15"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(root, "pgp-defender-pg-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestServerEnvironment(t *testing.T) {
	t.Parallel()
	got := serverEnvironment([]string{"PATH=/bin", "PGDATA=/x", "PGOPTIONS=-c x=y", "LC_MESSAGES=xx_YY", "LANG=de_DE.UTF-8",
		"LANGUAGE=de", "DATABASE_URL=postgres://u:p@h/d", "HOME=/root"})
	if want := "PATH=/bin HOME=/root LC_ALL=C"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
