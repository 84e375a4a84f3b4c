package kmstest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Vault answers POST and PUT /v1/transit/{encrypt,decrypt}/{key} as the page "Transit secrets engine (API)" of Vault describes
// it, for one key and one token.
func (s *Service) Vault(key, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation, named, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/")
		if failure := s.admit(r, operation); failure != 0 {
			answer(w, failure, refusal(http.StatusText(failure)))
			return
		}
		var body struct {
			Plaintext  []byte `json:"plaintext"`
			Ciphertext string `json:"ciphertext"`
			Place      []byte `json:"associated_data"`
		}
		switch {
		case r.Header.Get("X-Vault-Token") != token:
			answer(w, http.StatusForbidden, refusal("permission denied"))
		case named != key:
			answer(w, http.StatusBadRequest, refusal("encryption key not found"))
		case json.NewDecoder(r.Body).Decode(&body) != nil:
			answer(w, http.StatusBadRequest, refusal("failed to parse JSON input"))
		case operation == "encrypt":
			version, sealed := s.encrypt(body.Plaintext, body.Place)
			text := fmt.Sprintf("vault:v%d:%s", version, base64.StdEncoding.EncodeToString(sealed))
			answer(w, http.StatusOK, map[string]any{"data": map[string]any{"ciphertext": text, "key_version": version}})
		case operation == "decrypt":
			clear, err := s.openVault(body.Ciphertext, body.Place)
			if err != nil {
				answer(w, http.StatusBadRequest, refusal("invalid ciphertext: unable to decrypt"))
				return
			}
			answer(w, http.StatusOK, map[string]any{"data": map[string]any{"plaintext": clear}})
		default:
			answer(w, http.StatusNotFound, refusal())
		}
	})
}

func (s *Service) openVault(text string, place []byte) ([]byte, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 || parts[0] != "vault" {
		return nil, errVersion
	}
	var version int
	if _, err := fmt.Sscanf(parts[1], "v%d", &version); err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	return s.decrypt(version, sealed, place)
}

func refusal(texts ...string) map[string]any { return map[string]any{"errors": texts} }
