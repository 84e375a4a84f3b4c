package kmstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// AWS answers Encrypt and Decrypt as the AWS Key Management Service API Reference describes them, for one key. It does not
// check signatures.
func (s *Service) AWS(arn string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation := strings.ToLower(strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService."))
		if failure := s.admit(r, operation); failure != 0 {
			answer(w, failure, map[string]string{"__type": "KMSInternalException"})
			return
		}
		var body struct {
			KeyID   string            `json:"KeyId"`
			Clear   []byte            `json:"Plaintext"`
			Sealed  []byte            `json:"CiphertextBlob"`
			Context map[string]string `json:"EncryptionContext"`
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256") {
			answer(w, http.StatusBadRequest, map[string]string{"__type": "AccessDeniedException"})
			return
		}
		place := fmt.Append(nil, body.Context)
		switch {
		case body.KeyID != arn:
			answer(w, http.StatusBadRequest, map[string]string{"__type": "NotFoundException"})
		case operation == "encrypt":
			version, sealed := s.encrypt(body.Clear, place)
			answer(w, http.StatusOK, map[string]any{"CiphertextBlob": append([]byte{byte(version)}, sealed...), "KeyId": arn})
		case operation == "decrypt" && len(body.Sealed) > 0:
			clear, err := s.decrypt(int(body.Sealed[0]), body.Sealed[1:], place)
			if err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"__type": "InvalidCiphertextException"})
				return
			}
			answer(w, http.StatusOK, map[string]any{"Plaintext": clear, "KeyId": arn})
		default:
			answer(w, http.StatusBadRequest, map[string]string{"__type": "UnknownOperationException"})
		}
	})
}
