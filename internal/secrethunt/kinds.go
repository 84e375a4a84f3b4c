package secrethunt

import (
	"encoding/base64"
	"encoding/pem"
	"regexp"
	"strings"
)

// What all secrets of a kind begin with, and is none itself.
const (
	derBeginning    = 40 // the algorithm and the length of a private key
	base64Beginning = 56 // the same in base64
	keyText         = 43 // an API key's 32 bytes, behind its prefix
)

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// ClientSecret makes the Hunt look for the secret of an application. What is no secret but an id is passed over.
func (h *Hunt) ClientSecret(text string) {
	if text = strings.TrimSpace(text); !guid.MatchString(text) {
		h.learn("client secret", text)
	}
}

// Certificate makes the Hunt look for the private keys in a PEM text.
func (h *Hunt) Certificate(text string) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") || len(block.Bytes) < 2*derBeginning {
			continue
		}
		h.learn("private key", string(block.Bytes[derBeginning:]))
		h.learn("private key's text", base64.StdEncoding.EncodeToString(block.Bytes)[base64Beginning:])
	}
}

// Bearer makes the Hunt look for an API key or a token. Of a token that is its signature: what comes before says who and until
// when, in words that cursors hold too, and is good for nothing alone.
func (h *Hunt) Bearer(text string) {
	if end := strings.LastIndexByte(text, '.'); end >= 0 {
		h.learn("token", text[end+1:])
		return
	}
	h.learn("API key", text[max(0, len(text)-keyText):])
}

// Keyring makes the Hunt look for every key of the lines "id:base64".
func (h *Hunt) Keyring(lines string) {
	for line := range strings.Lines(lines) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key, err := base64.StdEncoding.DecodeString(text); err == nil && len(key) > 0 {
			h.learn("key of the keyring as text", text)
			h.learn("key of the keyring", string(key))
		}
	}
}

// Secret makes the Hunt look for any other text.
func (h *Hunt) Secret(what, text string) { h.learn(what, text) }
