package import Apus

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A conversation in a file: `{"model": …, "messages": [{"role": …, "content": …}, …]}`.
package struct Transcript: Codable, Hashable, Sendable {
  /// The model that answered, for people; another one may go on.
  package var model: String?
  package var messages: [Message]

  package init(model: String?, messages: [Message]) {
    self.model = model
    self.messages = messages
  }

  /// The bytes of a file.
  package var bytes: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("texts can be written as JSON")
    }
    return [UInt8](data) + [0x0A]
  }

  /// Reads a file's bytes.
  ///
  /// - Throws: ``ApusError`` where they are no conversation.
  package init(_ bytes: [UInt8], path: String) throws(ApusError) {
    guard let transcript = try? JSONDecoder().decode(Transcript.self, from: Data(bytes)) else {
      throw ApusError(
        .file,
        "\(path) is no conversation: /save writes JSON with a list \"messages\", each with "
          + "a \"role\" and a \"content\"")
    }
    let roles = ["system", "user", "assistant"]
    if let other = transcript.messages.first(where: { !roles.contains($0.role) }) {
      throw ApusError(
        .file,
        "\(path): a message has the role '\(other.role)'; there are system, user and assistant")
    }
    self = transcript
  }
}
