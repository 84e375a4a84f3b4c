package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
)

// problem is what the conventions say about every problem document.
type problem struct {
	Type      string `json:"type"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
}

func codeOf(body []byte) string {
	var p problem
	if json.Unmarshal(body, &p) != nil {
		return ""
	}
	return p.Code
}

// checkConventions checks what the document promises in its introduction for every answer.
func checkConventions(x *exchange) error {
	var breaches []error
	id := x.header.Get("X-Request-Id")
	if id == "" {
		breaches = append(breaches, errors.New("X-Request-Id is missing"))
	}
	if strings.HasPrefix(x.request.URL.Path, "/v1/") && !strings.Contains(x.header.Get("Cache-Control"), "no-store") {
		breaches = append(breaches, errors.New("Cache-Control is not no-store"))
	}
	if x.status >= 400 {
		breaches = append(breaches, checkProblem(x, id))
	}
	if tag := x.header.Get("ETag"); tag != "" && len(x.received) > 0 {
		breaches = append(breaches, checkTag(x.received, tag))
	}
	return errors.Join(breaches...)
}

func checkProblem(x *exchange, id string) error {
	if mediaType, _, _ := mime.ParseMediaType(x.header.Get("Content-Type")); mediaType != "application/problem+json" {
		return fmt.Errorf("an error of type %q is no problem document", mediaType)
	}
	var p problem
	if err := json.Unmarshal(x.received, &p); err != nil {
		return fmt.Errorf("problem document: %w", err)
	}
	switch {
	case p.Status != x.status:
		return fmt.Errorf("problem document says status %d", p.Status)
	case p.Type != "/problems/"+p.Code:
		return fmt.Errorf("problem document has type %q and code %q", p.Type, p.Code)
	case p.RequestID != id:
		return fmt.Errorf("problem document says request %q, X-Request-Id %q", p.RequestID, id)
	}
	return nil
}

func checkTag(body []byte, tag string) error {
	var tagged struct {
		ETag *string `json:"etag"`
	}
	if err := json.Unmarshal(body, &tagged); err != nil {
		return err
	}
	if tagged.ETag != nil && *tagged.ETag != tag {
		return fmt.Errorf("etag is %q in the body and %q in the header", *tagged.ETag, tag)
	}
	return nil
}

func checkHTML(x *exchange) error {
	mediaType, _, err := mime.ParseMediaType(x.header.Get("Content-Type"))
	if err != nil || mediaType != "text/html" {
		return fmt.Errorf("Content-Type is %q, text/html is documented", x.header.Get("Content-Type"))
	}
	if len(x.received) == 0 {
		return errors.New("the page is empty")
	}
	return nil
}
