// Answers what mingo, sift and moment make of documents, queries and dates:
// one JSON text a line comes in, one goes out. Its partner is oracle_test.go in
// layer/collection/query.
import readline from "node:readline";
import { Query, aggregate } from "mingo";
import moment from "moment";
import sift from "sift";

const iso = /^\d{4}-\d\d(-\d\d([T ]\d\d:\d\d.*)?)?$/;

// dated returns a copy of a value with its ISO texts as dates, as databases
// hold them that have such a type.
function dated(v) {
  if (typeof v === "string" && iso.test(v) && !isNaN(new Date(v))) return new Date(v);
  if (Array.isArray(v)) return v.map(dated);
  if (v === null || typeof v !== "object") return v;
  return Object.fromEntries(Object.entries(v).map(([name, member]) => [name, dated(member)]));
}

// verdicts is one character for each document: 1, 0, or e for an error.
function verdicts(compile, docs) {
  let test;
  try {
    test = compile();
  } catch {
    return "e".repeat(docs.length);
  }
  const verdict = (doc) => {
    try {
      return test(doc) ? "1" : "0";
    } catch {
      return "e";
    }
  };
  return docs.map(verdict).join("");
}

const answers = {
  match({ query, docs, dates }) {
    if (dates) [query, docs] = [dated(query), dated(docs)];
    const mingo = () => {
      const q = new Query(query);
      return (doc) => q.test(doc);
    };
    return { mingo: verdicts(mingo, docs), sift: verdicts(() => sift(query), docs) };
  },
  moment({ format, times }) {
    return { texts: times.map((t) => moment.utc(t).format(format)) };
  },
  // group sums, averages and counts a field by another.
  group({ by, field, docs }) {
    const f = "$" + field;
    return {
      groups: aggregate(docs, [
        { $group: { _id: "$" + by, sum: { $sum: f }, avg: { $avg: f }, count: { $sum: 1 } } },
      ]),
    };
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  process.stdout.write(JSON.stringify(answers[question.kind](question)) + "\n");
}
