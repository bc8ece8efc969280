// Package bench drives a cluster in a closed loop and reports what it did.
//
// Each of the clients has one keep-alive connection and one request under way;
// it sends the next when the answer is there. So the throughput is what that
// many patient clients get, and latency includes the whole way. Requests of the
// warm-up are not counted. The CPU that the servers spent is read from the
// metrics of all nodes before and after.
//
// The clients speak a minimal HTTP/1.1 of their own: they share the machine
// with what they measure, and net/http would cost more than the answer.
//
// It never retries: an answer other than the expected one, and a broken
// connection, is counted as an error by its kind.
package bench
