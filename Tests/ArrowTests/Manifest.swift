/// What Package.swift declares: each target and the names it may import. Read as text, because the
/// manifest is the only description of the build and its meaning is not available to a test.
struct Manifest {
  /// Target name → the targets and products it declares as dependencies.
  var dependencies: [String: Set<String>]

  /// The manifest writes a target as one call. What is left of it without paths, packages and sources
  /// is string literals: the target's own name, then those of its dependencies.
  init(parsing text: String) {
    let code = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.trimmingPrefix(/\s*\/\/.*/) }.joined(separator: "\n")
    let targets = code.ranges(of: /\btargets: \[\n/).first.map { code[$0.upperBound...] } ?? ""
    dependencies = [:]
    for call in targets.matches(of: /\b(room|interop|tests|target|executableTarget)\(/) {
      let arguments = Self.upToClosingParenthesis(targets[call.range.upperBound...])
        .replacing(/(path|package): "[^"]*"/, with: "")
        .replacing(/sources: \[[^\]]*\]/, with: "")
      let names = arguments.matches(of: /"([^"]*)"/).map { String($0.1) }
      guard let name = names.first else { continue }
      dependencies[name] = Set(names.dropFirst())
    }
  }

  private static func upToClosingParenthesis(_ text: Substring) -> Substring {
    var depth = 1
    for index in text.indices {
      if text[index] == "(" { depth += 1 }
      if text[index] == ")" { depth -= 1 }
      if depth == 0 { return text[..<index] }
    }
    return text
  }

  /// Everything a target can see, because SwiftPM does not hold back imports of dependencies of
  /// dependencies.
  func reachable(from target: String) -> Set<String> {
    var seen: Set<String> = []
    var open = Array(dependencies[target] ?? [])
    while let next = open.popLast() {
      if seen.insert(next).inserted { open += dependencies[next] ?? [] }
    }
    return seen
  }
}
