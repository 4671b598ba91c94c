"""THE main job: embeddings and relevance go in; how few bits a query needs, from below and from above, comes out."""

from rdjax.audit.result import Audit, Bits, Floor, Point, Quality, Recommendation, Setting
from rdjax.audit.run import audit

__all__ = ["Audit", "Bits", "Floor", "Point", "Quality", "Recommendation", "Setting", "audit"]
