package fault

import "reflect"

// Notice is what was told of a failure or warning, as it is kept: with a run, or with the state it put an integration into.
type Notice struct {
	Code      string
	Title     string
	Detail    string
	Cause     string
	Remedy    string
	Acts      Actor   // empty in runs stored before it was kept
	Access    *Access `json:",omitempty"`
	Permanent bool
}

// NoticeOf keeps what may be told of a fault.
func NoticeOf(e *Error) Notice {
	d := e.Definition()
	return Notice{
		Code: e.Code, Title: e.Title(), Detail: e.Detail, Cause: e.CauseText(), Remedy: e.RemedyText(), Acts: e.Actor(), Access: e.Access,
		Permanent: d.Permanent,
	}
}

// SameAs reports whether both tell the same but for the detail, which names the single request.
func (n Notice) SameAs(o Notice) bool {
	n.Detail, o.Detail = "", ""
	return reflect.DeepEqual(n, o)
}
