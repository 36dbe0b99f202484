import Apus

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Writes one JSON value as a line.
func printJSON(_ value: some Encodable) throws(ApusError) {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  guard let data = try? encoder.encode(value) else {
    throw ApusError(.request, "the result holds numbers that JSON cannot express")
  }
  Terminal.write(String(decoding: data, as: UTF8.self) + "\n")
}
