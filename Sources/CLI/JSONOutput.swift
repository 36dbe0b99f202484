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
  var line = String(decoding: data, as: UTF8.self)
  // The encoder escapes what JSON must, and a terminal heeds a few more. They occur in texts only,
  // where an escape means the same.
  if line.unicodeScalars.contains(where: { (0x7F...0x9F).contains($0.value) }) {
    line = line.unicodeScalars.reduce(into: "") { text, scalar in
      if (0x7F...0x9F).contains(scalar.value) {
        text += "\\u00" + String(scalar.value, radix: 16)
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
  }
  Terminal.write(line + "\n")
}
