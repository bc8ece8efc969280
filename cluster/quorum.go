package cluster

import "fmt"

// Votes is the arithmetic of a quorum.
type Votes struct {
	Voters  int `json:"voters"`
	Answers int `json:"answering"` // of Voters
	Needed  int `json:"needed"`    // of Voters, to commit anything
}

// Quorum counts the votes of a membership.
func Quorum(have []Server) (v Votes) {
	for _, s := range have {
		if !s.Voter {
			continue
		}
		v.Voters++
		if s.Answers {
			v.Answers++
		}
	}
	v.Needed = v.Voters/2 + 1
	return v
}

// Without is v when server s, which is among those counted, does not vote any
// more.
func (v Votes) Without(s Server) Votes {
	if !s.Voter {
		return v
	}
	v.Voters--
	if s.Answers {
		v.Answers--
	}
	v.Needed = v.Voters/2 + 1
	return v
}

// With is v when server s, which does not vote, does.
func (v Votes) With(s Server) Votes {
	if s.Voter {
		return v
	}
	v.Voters++
	if s.Answers {
		v.Answers++
	}
	v.Needed = v.Voters/2 + 1
	return v
}

// Lost reports whether nothing can be committed.
func (v Votes) Lost() bool { return v.Voters == 0 || v.Answers < v.Needed }

// String is the arithmetic as it stands in answers and refusals.
func (v Votes) String() string {
	switch {
	case v.Voters == 0:
		return "no voter"
	case v.Voters == 1:
		return fmt.Sprintf("1 voter of which %d answers; 1 is needed", v.Answers)
	}
	answer, are := "answer", "are"
	if v.Answers == 1 {
		answer = "answers"
	}
	if v.Needed == 1 {
		are = "is"
	}
	return fmt.Sprintf("%d voters of which %d %s; %d %s needed", v.Voters, v.Answers, answer, v.Needed, are)
}
