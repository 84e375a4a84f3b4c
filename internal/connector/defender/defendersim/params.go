package defendersim

import (
	"net/url"
	"strconv"
	"strings"
)

// params are the query options of a request; -1 means absent.
type params struct {
	top, skip int
	filter    string
	pageSize  int
	skipToken string
	sinceTime string // of the delta
	sasHours  string // of the list of files
}

// readParams reads the options that the API documents and refuses every other that begins with "$".
func readParams(query url.Values) (params, *apiError) {
	p := params{top: -1, skip: 0, pageSize: -1}
	for name, values := range query {
		value := values[0]
		var refusal *apiError
		switch strings.ToLower(name) {
		case "$top":
			p.top, refusal = number(name, value, 0)
		case "$skip":
			p.skip, refusal = number(name, value, 0)
		case "pagesize":
			if p.pageSize, refusal = number(name, value, 1); refusal != nil {
				refusal.code = "BadRequest"
			}
		case "$filter":
			p.filter = value
		case "$skiptoken":
			p.skipToken = value
		case "sincetime":
			p.sinceTime = value
		case "sasvalidhours":
			p.sasHours = value
		default:
			if strings.HasPrefix(name, "$") {
				refusal = odataError("The query parameter '%s' is not supported.", name)
			}
		}
		if refusal != nil {
			return p, refusal
		}
	}
	return p, nil
}

func number(name, value string, least int) (int, *apiError) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least {
		return 0, odataError("Invalid value '%s' for %s query option found. The %s query option requires a non-negative integer value.", value, name, name)
	}
	return n, nil
}

// page settles how many rows an answer holds and whether it may carry a nextLink, which $top suppresses.
func (p params) page(most int, clamp bool) (size int, linked bool, refusal *apiError) {
	switch {
	case p.top < 0:
		return most, true, nil
	case p.top <= most:
		return p.top, false, nil
	case clamp:
		return most, false, nil
	}
	return 0, false, odataError("The limit of '%d' for Top query has been exceeded. The value from the incoming request is '%d'.", most, p.top)
}
