// Package kmstest answers over HTTP like the transit engine of HashiCorp Vault and like AWS KMS, for tests.
package kmstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
)

// Service holds one key with versions, and can be made to fail.
type Service struct {
	mu       sync.Mutex
	versions []cipher.AEAD
	oldest   int // versions below it decrypt no more
	failure  int // a status to answer instead; 0 answers
	gate     chan struct{}
	calls    map[string]int
}

// New makes a service with a key of one version.
func New() *Service {
	s := &Service{oldest: 1, calls: map[string]int{}}
	s.Rotate()
	return s
}

// Rotate adds a version of the key.
func (s *Service) Rotate() {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // only for another length, and the length is constant
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions = append(s.versions, aead)
}

// Withdraw makes versions below the given one decrypt no more.
func (s *Service) Withdraw(below int) { s.mu.Lock(); s.oldest = below; s.mu.Unlock() }

// Fail makes every call answer the status; 0 ends that.
func (s *Service) Fail(status int) { s.mu.Lock(); s.failure = status; s.mu.Unlock() }

// Hold makes calls wait until release is called, or their caller goes away.
func (s *Service) Hold() (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	s.gate = gate
	s.mu.Unlock()
	return sync.OnceFunc(func() { s.mu.Lock(); s.gate = nil; s.mu.Unlock(); close(gate) })
}

// Calls is how often an operation was asked for, whatever came of it: encrypt or decrypt.
func (s *Service) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

// admit counts a call, and gives the status to fail it with, or 0.
func (s *Service) admit(r *http.Request, operation string) int {
	s.mu.Lock()
	s.calls[operation]++
	gate, failure := s.gate, s.failure
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}
	return failure
}

func (s *Service) encrypt(clear, place []byte) (version int, sealed []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version = len(s.versions)
	return version, s.versions[version-1].Seal(nil, nil, clear, place)
}

var errVersion = errors.New("no such version")

func (s *Service) decrypt(version int, sealed, place []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.oldest || version > len(s.versions) {
		return nil, errVersion
	}
	return s.versions[version-1].Open(nil, nil, sealed, place)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever does not read it has gone away
}
