package defender

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is a refusal by Microsoft, reduced to what decides on its meaning. message is their text: it is searched for
// hints and dropped; nothing of it is told, logged or stored.
type answer struct {
	endpoint Endpoint
	status   int

	oauthError string // of the login service: the OAuth "error" word
	numbers    []int  // AADSTS numbers

	code     string // of the API: error.code
	readable bool   // the body was JSON, or there was none
	message  string // lower case
	roles    []string

	trace       string // identifiers that Microsoft's support asks for
	correlation string
	retryAfter  time.Duration
}

const (
	maxErrorBody  = 64 << 10
	maxIdentifier = 64
)

// loginAnswer reads an error of the token endpoint. Microsoft's page "Authentication and authorization error codes"
// warns that numbers and texts change; what is not there simply stays empty.
func loginAnswer(status int, header http.Header, body []byte, now time.Time) answer {
	var b struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		Codes         []int  `json:"error_codes"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
	}
	err := json.Unmarshal(body, &b)
	a := answer{
		endpoint: EndpointToken, status: status, oauthError: b.Error, numbers: b.Codes,
		readable: err == nil, message: strings.ToLower(b.Description),
		trace: identifier(b.TraceID), correlation: identifier(b.CorrelationID), retryAfter: retryAfter(header, now),
	}
	if len(a.numbers) == 0 {
		a.numbers = numbersIn(b.Description)
	}
	if a.trace == "" {
		a.trace = identifier(header.Get("x-ms-request-id"))
	}
	return a
}

var aadsts = regexp.MustCompile(`AADSTS(\d{4,9})`)

func numbersIn(description string) []int {
	if m := aadsts.FindStringSubmatch(description); m != nil {
		n, _ := strconv.Atoi(m[1]) // at most nine digits
		return []int{n}
	}
	return nil
}

// apiAnswer reads an error of the Defender API: Microsoft's page "Common REST API error codes".
func apiAnswer(e Endpoint, status int, header http.Header, body []byte, now time.Time) answer {
	var b struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Target  string `json:"target"`
		} `json:"error"`
	}
	err := json.Unmarshal(body, &b)
	return answer{
		endpoint: e, status: status, code: b.Error.Code, readable: err == nil || len(body) == 0,
		message: strings.ToLower(b.Error.Message), roles: requiredRoles(b.Error.Message),
		correlation: identifier(b.Error.Target), retryAfter: retryAfter(header, now),
	}
}

// roleWord finds permission names in a refusal's text.
var roleWord = regexp.MustCompile(`[A-Za-z]+(?:\.[A-Za-z]+)+`)

// requiredRoles extracts the permissions a 403 asks for. Only names this package knows are taken over, so that no
// foreign text is repeated; what the token already has, which newer texts list behind the required ones, is cut off.
func requiredRoles(message string) []string {
	if i := strings.LastIndex(strings.ToLower(message), "application roles:"); i > 0 {
		message = message[:i]
	}
	var roles []string
	for _, word := range roleWord.FindAllString(message, -1) {
		for _, known := range []string{machineRead, machineReadWrite, vulnerabilityRead} {
			if strings.EqualFold(word, known) && !slices.Contains(roles, known) {
				roles = append(roles, known)
			}
		}
	}
	return roles
}

// identifier lets an id through that looks like one of Microsoft's (a GUID, or an activity id such as |3f2a.1_) and
// nothing else.
func identifier(text string) string {
	if len(text) > maxIdentifier {
		return ""
	}
	for _, r := range text {
		hex := r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
		if !hex && !strings.ContainsRune("-|._", r) {
			return ""
		}
	}
	return strings.Trim(text, "-|._") // what frames an activity id would run into our sentence
}

// support is the sentence with the identifiers that Microsoft's support needs.
func (a answer) support() string {
	switch {
	case a.trace != "" && a.correlation != "":
		return " Microsoft correlation id " + a.correlation + ", trace id " + a.trace + "."
	case a.correlation != "":
		return " Microsoft correlation id " + a.correlation + "."
	case a.trace != "":
		return " Microsoft trace id " + a.trace + "."
	}
	return ""
}

// withoutText is what may be kept of an answer: its own words are gone.
func (a answer) withoutText() answer {
	a.message = ""
	a.oauthError, a.code = codeWord(a.oauthError), codeWord(a.code)
	return a
}

// Error describes the answer for logs: status and codes, never its text.
func (a answer) Error() string {
	text := string(a.endpoint) + ": HTTP " + strconv.Itoa(a.status)
	if word := codeWord(orElse(a.oauthError, a.code)); word != "" {
		text += " " + word
	}
	for _, n := range a.numbers {
		text += " AADSTS" + strconv.Itoa(n)
	}
	return text + a.support()
}

var plainWord = regexp.MustCompile(`^[A-Za-z_]{1,40}$`)

// codeWord lets a code through that looks like one.
func codeWord(code string) string {
	if plainWord.MatchString(code) {
		return code
	}
	return ""
}
