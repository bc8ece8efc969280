package vault

import (
	"fmt"
	"testing"
)

// A command has room for a thousand spans: an organization may hold more lists
// than that.
func TestManyEnvironmentsAreDeletedAtOnce(t *testing.T) {
	o := newOffice(t)
	o.must(o.admin, func(s *Session) error { // as if made one by one, but fast
		for id := uint64(1001); id <= 2100; id++ {
			name := fmt.Sprintf("e%d", id)
			s.tx.Set(byID(environmentByte, id), encode(environmentRow{Project: o.project, Name: name}), 0)
			s.tx.Set(byIDs(environmentsByte, o.project, id), nil, 0)
			s.tx.Set(byIDText(nameByte, o.project, name), encodeID(id), 0)
		}
		addCount(s.tx, countEnvironments, o.project, 1100)
		return nil
	})
	o.variable(o.admin, o.environment, "A", "1")
	o.must(o.admin, func(s *Session) error { return s.DeleteOrganization(o.organization) })
	for _, kind := range []byte{
		organizationByte, membershipByte, memberOfByte, projectByte, projectsByte, environmentByte, environmentsByte, nameByte,
		variableByte, variableIDByte, variablesByte, countByte,
	} {
		if got := o.keys(kind); got != 0 {
			t.Errorf("%d keys of kind %c are left", got, kind)
		}
	}
}
