package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

// Files of a demonstration's directory.
const (
	stateName   = "state.json"
	keyringName = "keyring"
	logName     = "defenderd.log"
	lockName    = "lock"
	serverName  = "postgres"
)

// demoSize is how big the simulated world is.
type demoSize struct {
	Machines  int `json:"machines"`
	Findings  int `json:"findings"`
	Catalogue int `json:"catalogue"`
}

// demoState is what a second start needs to meet the same world. It holds secrets, though only simulated ones.
type demoState struct {
	demoSize
	Unstarted   bool   `json:"unstarted,omitempty"` // nothing was made in these sizes yet
	Database    string `json:"database"`            // name, on a server that is not the demonstration's own
	Seed        uint64 `json:"seed"`
	DirectoryID string `json:"directory_id"`
	ClientID    string `json:"client_id"`
	Secret      string `json:"secret"`
	TenantID    string `json:"tenant_id,omitempty"`
	APIKey      string `json:"api_key,omitempty"`
}

func newDemoState(size demoSize) demoState {
	var random [30]byte
	_, _ = rand.Read(random[:]) // documented never to fail
	secret := base64.RawURLEncoding.EncodeToString(random[:])
	return demoState{
		demoSize: size, Unstarted: true, Database: "defender_demo_" + strings.ToLower(rand.Text()[:8]), Seed: 1,
		DirectoryID: uuid.NewString(), ClientID: uuid.NewString(), Secret: secret[:3] + "8Q~" + secret[6:], // the look of Microsoft's
	}
}

// readDemoState reads the state of an earlier start, or makes a new one. A chosen size must be that of an earlier start that
// succeeded: another would look like most machines having vanished.
func readDemoState(dir string, size demoSize, chosen bool) (demoState, error) {
	body, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		s := newDemoState(size)
		if err := writeSecret(filepath.Join(dir, keyringName), seal.NewKey().Reveal()); err != nil && !errors.Is(err, fs.ErrExist) {
			return s, err
		}
		return s, s.save(dir)
	}
	if err != nil {
		return demoState{}, err
	}
	var s demoState
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("%s is damaged; remove %s to begin anew", stateName, dir)
	}
	if s.Unstarted {
		s.demoSize = size
	}
	if chosen && s.demoSize != size {
		return s, fmt.Errorf("the demonstration in %s was made with --machines %d --findings %d --catalogue %d; use another --dir, or remove that one",
			dir, s.Machines, s.Findings, s.Catalogue)
	}
	return s, nil
}

// save writes the state so that an interruption leaves the old or the new one.
func (s demoState) save(dir string) error {
	body, err := json.MarshalIndent(s, "", "  ") // #nosec G117 -- of the simulator, into a file for its owner alone
	if err != nil {
		return err
	}
	unfinished := filepath.Join(dir, stateName+".new")
	if err := os.WriteFile(unfinished, append(body, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, filepath.Join(dir, stateName))
}
